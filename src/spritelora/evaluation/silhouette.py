"""Soft edges: colours between two others, colour that spills over the silhouette, and the seam of a tile."""

import math

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.cell_colours import split_cells
from spritelora.evaluation.colours import VISIBLE, LabImage
from spritelora.evaluation.grid import Grid
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.palette import to_oklab

Steps = NDArray[np.float32]

PLAIN = 0.1
"""The OKLab distance to the background's colour within which a cell is background, for many come out mottled."""

SAME_WAY = 0.9
"""Cosine of two steps that go on in one direction."""


def in_between_share(lab: LabImage, across: Steps, down: Steps) -> float:
    """Of the pixels at visible edges, the share whose colour lies between those on its two sides.

    Two visible steps in a row, to one direction in OKLab, along x or y: what smooth scaling, blur and anti-aliasing
    leave. 0 to 1; always 0 where every native pixel is 2 px wide or more and flat. NaN without edges.
    `across`, `down`: the lengths of the steps, (H, W - 1) and (H - 1, W).
    """
    edge, between = np.zeros(lab.shape[:2], np.bool_), np.zeros(lab.shape[:2], np.bool_)
    for values, steps, edges, betweens in (
        (lab, across, edge, between),
        (lab.swapaxes(0, 1), down.T, edge.T, between.T),
    ):
        seen = steps > VISIBLE
        edges[:, 1:] |= seen
        edges[:, :-1] |= seen
        row, column = np.nonzero(seen[:, 1:] & seen[:, :-1])
        middle = values[row, column + 1]
        into, out = middle - values[row, column], values[row, column + 2] - middle
        straight = np.einsum("nc,nc->n", into, out) > SAME_WAY * steps[row, column] * steps[row, column + 1]
        betweens[row[straight], column[straight] + 1] = True
    total = np.count_nonzero(edge)
    return float(np.count_nonzero(between) / total) if total else math.nan


def find_background(native: Pixels) -> NDArray[np.uint8] | None:
    """The colour (3,) around a sprite: the median of the border's, where half of the border is `PLAIN`, else None."""
    border = np.concatenate([native[0], native[-1], native[1:-1, 0], native[1:-1, -1]])
    colour = np.median(border, axis=0).round().astype(np.uint8)
    close = np.linalg.norm(to_oklab(border) - to_oklab(colour), axis=1) <= PLAIN
    return colour if 2 * np.count_nonzero(close) >= len(close) else None


def halo(lab: LabImage, native: Pixels, native_lab: LabImage, grid: Grid) -> float:
    """Colour that spills over the silhouette: in the background's cells at the sprite, the mean OKLab distance of
    a pixel to its own cell's colour.

    0 to about 0.5. NaN where the image has no plain background, or nothing on it. `native`: the snapped image, whose
    cells decide what is background; a fringe as wide as a cell is a colour of the sprite, and for `palette_distance`.
    """
    background = find_background(native)
    if background is None:
        return math.nan
    empty = np.linalg.norm(native_lab - to_oklab(background).astype(np.float32), axis=-1) <= PLAIN
    rim = empty & _touches(~empty)
    if not rim.any():
        return math.nan
    return float(np.linalg.norm(split_cells(lab, grid)[rim] - native_lab[rim][:, None], axis=-1).mean())


def _touches(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells with a cell of the mask among the eight around them, or in it."""
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


def seam(native_lab: LabImage) -> float:
    """The difference across an image's own wrap-around beyond that across any line inside: the larger of two ways.

    Differences are means over a line between native pixels, in OKLab. 0 (repeats without a seam, and any sprite on a
    plain background) to 1. `native_lab`: (h, w, 3), snapped.
    """
    excesses = []
    for image in (native_lab, native_lab.swapaxes(0, 1)):
        inside = np.linalg.norm(image[1:] - image[:-1], axis=-1).mean(axis=1).max(initial=0)
        excesses.append(max(0.0, float(np.linalg.norm(image[0] - image[-1], axis=-1).mean() - inside)))
    return max(excesses)
