"""The ground of an opaque sprite: the one colour that its border has, and what is left where that is cut out.

All of it works on the native grid: there JPEG noise is small, and a half-mixed colour is one pixel wide.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.edges import distance
from spritelora.sprites.pixels.image import Pixels, pack_rgb
from spritelora.sprites.pixels.outline import flood_border
from spritelora.sprites.pixels.pieces import find_pieces

Colour = tuple[int, int, int]
Mask = NDArray[np.bool_]
Light = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
"""Lightness by Rec. 601."""

NOISE = 20
"""A JPEG moves the native pixels of a flat ground by less than this, in the largest channel."""

MOST_OF_BORDER = 0.5
"""Less than this share of the border in one colour is no ground."""

NOISY_COLOURS, NOISY_SHARE = 4, 0.05
"""So many colours near the ground's, on this share of what lies at it, are noise; an artist needs fewer."""

LEAST_FIGURE, MOST_FIGURE = 0.03, 0.95
"""A figure covers more than the first share of its image and less than the second."""

MAIN_PIECE = 0.45
"""The largest piece of a figure covers at least this share of it; the stones of a floor are smaller."""

FRAMED_SPAN, FRAMED_FILL = 0.75, 0.97
"""A rectangle filled to the second share, and as wide and high as the first share of its image, has a frame."""

SEAL_CONTRAST, SEAL_SHARE = 48, 0.95
"""An outline is darker than its ground by so much, on this share of its length."""

HALF = 0.5
"""From this share of figure on a mixed pixel is the figure's."""


class Shape(Enum):
    """The look of what stands on a ground: a figure, nothing at all, a tile in a frame, or scattered pieces."""

    figure = "figure"
    empty = "empty"
    framed = "framed"
    scattered = "scattered"


@dataclass(frozen=True)
class Ground:
    """A colour to cut out from the border inwards. `holes`: also where the figure encloses it.

    `is_noisy`: colours near it are the ground's too, and half-mixed ones at its edge belong to the side that they have
    more of.
    """

    colour: Colour
    holes: bool = False
    is_noisy: bool = False


@dataclass(frozen=True)
class Standing:
    """What an opaque sprite shows of the ground that it stands on.

    `border_share`: of the border's pixels, those in its colour. `num_enclosed`: pixels of that colour which the figure
    encloses: holes, or its own. `is_sealed`: an outline darker than the ground parts the two everywhere.
    """

    ground: Ground
    border_share: float
    shape: Shape
    num_enclosed: int
    is_sealed: bool


def find_standing(native: Pixels, is_soft: bool = False, colour: Colour | None = None) -> Standing | None:
    """The ground that a sprite seems to stand on, None for one with transparency or without such a border.

    `native`: RGBA, (H, W, 4). `is_soft`: its native pixels are medians, not flat colours. `colour`: looked for in place
    of what most of the border has.
    """
    if min(native.shape[:2]) < 3 or (native[..., 3] < 255).any():
        return None
    edge = np.concatenate([native[0], native[-1], native[1:-1, 0], native[1:-1, -1]])[:, :3]
    ground = _border_ground(native, edge, is_soft, colour)
    share = float(_is_near(edge, ground).mean())
    if share == 0 or (colour is None and share < MOST_OF_BORDER):
        return None
    outer = outer_ground(native, ground)
    figure = ~outer
    enclosed = int(np.count_nonzero(_is_near(native, ground) & figure))
    return Standing(ground, share, _shape(figure), enclosed, _is_sealed(native, outer, ground))


def cut_ground(native: Pixels, ground: Ground) -> Pixels:
    """The sprite with its ground fully transparent. RGBA, (H, W, 4)."""
    outer = outer_ground(native, ground)
    clear = outer | _is_near(native, ground) if ground.holes else outer
    cut = np.where(clear[..., None], np.uint8(0), native)
    return _unmixed(cut, ~clear, ground) if ground.is_noisy else cut


def lightness(colour: Colour) -> float:
    """Luma, 0 to 255."""
    return float(np.array(colour) @ LUMA)


def outer_ground(native: Pixels, ground: Ground) -> Mask:
    """The pixels of a ground that are joined to the border, (H, W)."""
    outer = flood_border(_is_near(native, ground))
    if ground.is_noisy:
        share, _ = _mixtures(native, outer, ground)
        outer = outer | (share < HALF)
    return outer


def _border_ground(native: Pixels, edge: Pixels, is_soft: bool, asked: Colour | None) -> Ground:
    """The colour that most of the border has, or is near to, and whether it is noisy there."""
    if asked is None:
        found, counts = np.unique(edge, axis=0, return_counts=True)
        usual = found[counts.argmax()] if counts.max() >= MOST_OF_BORDER * len(edge) else np.median(edge, axis=0)
        red, green, blue = usual.astype(int).tolist()
        asked = red, green, blue
    exact, noisy = Ground(asked), Ground(asked, is_noisy=True)
    if is_soft:
        return noisy
    at_it = _beside(flood_border(_is_near(native, exact)))
    border = np.zeros(at_it.shape, dtype=np.bool_)
    border[[0, -1]] = border[:, [0, -1]] = True
    seen = native[at_it | border]
    near = pack_rgb(seen[_is_near(seen, noisy) & ~_is_near(seen, exact)])
    is_noisy = len(np.unique(near)) >= NOISY_COLOURS and len(near) >= NOISY_SHARE * len(seen)
    return noisy if is_noisy else exact


def _is_near(pixels: Pixels, ground: Ground) -> Mask:
    """Which pixels (..., 3 or 4) have the colour of a ground, (...)."""
    colour = np.array(ground.colour, dtype=np.uint8)
    if ground.is_noisy:
        return distance(pixels[..., :3], colour) < NOISE
    return (pixels[..., :3] == colour).all(axis=-1)


def _beside(mask: Mask) -> Mask:
    """The pixels outside a mask that touch it by a side."""
    wide = np.pad(mask, 1)
    return (wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]) & ~mask


def _shape(figure: Mask) -> Shape:
    area = int(np.count_nonzero(figure))
    if area == 0:
        return Shape.empty
    pieces = find_pieces(figure)
    height, width = figure.shape
    if not LEAST_FIGURE < area / figure.size < MOST_FIGURE or max(p.area for p in pieces) < MAIN_PIECE * area:
        return Shape.scattered
    rows, columns = np.flatnonzero(figure.any(axis=1)), np.flatnonzero(figure.any(axis=0))
    high, wide = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    spans = wide >= FRAMED_SPAN * width and high >= FRAMED_SPAN * height
    return Shape.framed if spans and area >= FRAMED_FILL * wide * high else Shape.figure


def _is_sealed(native: Pixels, outer: Mask, ground: Ground) -> bool:
    """Whether what touches the ground is an outline: darker, nearly everywhere."""
    rim = native[..., :3][_beside(outer)].astype(np.float64) @ LUMA
    return bool(len(rim)) and float((rim <= lightness(ground.colour) - SEAL_CONTRAST).mean()) >= SEAL_SHARE


def _mixtures(native: Pixels, outer: Mask, ground: Ground) -> tuple[Light, Pixels]:
    """The share of figure that is mixed into each pixel at the ground, 1 elsewhere, and the figure's colour there.

    The figure's colour is that of the neighbour, corners included, which differs most from the ground.
    """
    height, width = outer.shape
    colours = np.pad(native[..., :3].astype(np.int16), ((1, 1), (1, 1), (0, 0)))
    is_figure = np.pad(~outer & ~_beside(outer), 1)
    under = np.array(ground.colour, dtype=np.int16)
    far, inner = np.full((height, width), -1, dtype=np.int16), native[..., :3].astype(np.int16)
    for y, x in np.ndindex(3, 3):
        part = np.s_[y : y + height, x : x + width]
        apart = np.where(is_figure[part], distance(colours[part], under), np.int16(-1))
        inner = np.where((apart > far)[..., None], colours[part], inner)
        far = np.maximum(far, apart)
    way, part = (inner - under).astype(np.float64), (native[..., :3].astype(np.int16) - under).astype(np.float64)
    share = (way * part).sum(axis=-1) / np.maximum((way * way).sum(axis=-1), 1)
    miss = distance((share[..., None] * way).round().astype(np.int16), part.round().astype(np.int16))
    is_mixed = _beside(outer) & (far >= 2 * NOISE) & (miss < NOISE)
    return np.where(is_mixed, share, 1.0), inner.astype(np.uint8)


def _unmixed(cut: Pixels, figure: Mask, ground: Ground) -> Pixels:
    """A sprite whose pixels at the ground have the figure's colour where it is mixed with the ground's."""
    share, inner = _mixtures(cut, ~figure, ground)
    is_halo = figure & (share < 1 - HALF / 2)
    return np.dstack([np.where(is_halo[..., None], inner, cut[..., :3]), cut[..., 3]])
