"""Whether images of one size are sheets: for sure and by which grid, perhaps and by which, or a sprite each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spritelora.sprites.grids.cell_grid import SMALLEST_CELL_PX, edge_colour
from spritelora.sprites.grids.line_grid import is_pattern, line_grid
from spritelora.sprites.grids.seam_grid import seam_grid
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.pixels.edges import Packed, pack_colours
from spritelora.sprites.pixels.image import Pixels, exact_scale
from spritelora.sprites.pixels.native import detect_scale

ALIKE_SHARE = 0.5
"""Above this share of equal pixels two halves, thirds, ... of a strip are frames of one thing."""

MOST_OBLONG = 0.35
"""The natural logarithm of width by height of such a frame."""

MOST_GONE_ON = 0.9
"""At the borders of its cells drawing goes on in less than this share of the places where it does within them."""


@dataclass(frozen=True)
class SheetVerdict:
    """The grid of a sheet, None where there is doubt; and up to two guesses, the better one first.

    `is_likely`: the first guess is not by chance.
    """

    sure: SheetLayout | None = None
    guesses: tuple[SheetLayout, ...] = ()
    is_likely: bool = False


def judge_sheets(images: Sequence[Pixels]) -> SheetVerdict:
    """The one grid of images of one size, RGBA, (H, W, 4) each. Clean enlargements are judged at their own size."""
    scale = math.gcd(*(exact_scale(image) for image in images))
    packed = [pack_colours(image[::scale, ::scale]) for image in images]
    if max(packed[0].shape) < 2 * SMALLEST_CELL_PX:
        return SheetVerdict()
    layouts = {line_grid(sheet) for sheet in packed}
    layout = layouts.pop() if len(layouts) == 1 else None
    if layout is not None:
        return SheetVerdict(layout.enlarged(scale))
    figures = [without_background(sheet) for sheet in packed]
    found = seam_grid(figures)
    guesses, is_likely = found.guesses, found.is_likely
    if len(figures) == 1 and not is_likely and (strip := _strip_of_frames(figures[0])):
        guesses, is_likely = (strip, *(g for g in guesses if g != strip))[:2], True
    sure = None if found.sure and len(packed) == 1 and is_pattern(packed[0], found.sure) else found.sure
    if (sure or guesses) and scale == 1:
        pixel_px = max(detect_scale(image).factor for image in images)
        sure = None if sure and _is_of_pixels(sure, pixel_px) else sure
        is_likely = is_likely and not _is_of_pixels(guesses[0], pixel_px)
        guesses = tuple(guess for guess in guesses if not _is_of_pixels(guess, pixel_px))
    return SheetVerdict(sure and sure.enlarged(scale), tuple(guess.enlarged(scale) for guess in guesses), is_likely)


def _is_of_pixels(layout: SheetLayout, pixel_px: int) -> bool:
    """True for cells of but a few pixels of a sprite that was enlarged and then changed, as by JPEG."""
    return layout.cell is not None and pixel_px > 1 and min(layout.cell) < SMALLEST_CELL_PX * pixel_px


def is_on_grid(image: Pixels, layout: SheetLayout) -> bool:
    """Whether an image can have the grid that others of its size have: drawing breaks off at the borders of cells."""
    packed = without_background(pack_colours(image))
    cell = layout.cell or (packed.shape[1], packed.shape[0])
    on, within = 0.0, 0.0
    for plane, side in zip((packed, packed.T), cell, strict=True):
        same = ((plane[:, 1:] == plane[:, :-1]) & (plane[:, 1:] != 0)).sum(axis=0)
        borders = np.zeros(len(same), dtype=np.bool_)
        borders[side - 1 :: side] = True
        if side <= len(same):
            on += float(same[borders].mean())
            within += float(same[~borders].mean())
    return on <= MOST_GONE_ON * within


def without_background(packed: Packed) -> Packed:
    """The image with 0 for the colour of its edge, where it has no transparency and one that covers most of it."""
    colour = edge_colour(packed)
    return np.where(packed == colour, np.uint32(0), packed) if colour else packed


def _strip_of_frames(packed: Packed) -> SheetLayout | None:
    """The cells of a lone row whose neighbours show nearly the same: two or more, about as wide as high."""
    height, width = packed.shape
    for number in sorted(range(2, width // SMALLEST_CELL_PX + 1), key=lambda n: abs(math.log(width / n / height))):
        if width % number == 0 and abs(math.log(width / number / height)) <= MOST_OBLONG:
            cells = np.split(packed, number, axis=1)
            shown = [((f != 0) | (s != 0), f == s) for f, s in pairwise(cells)]
            if all(mask.any() and float(same[mask].mean()) > ALIKE_SHARE for mask, same in shown):
                return SheetLayout((width // number, height))
    return None
