"""Colours that no artist set: mixtures along edges, and noise in what should be flat."""

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.edges import Packed, distance
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.native import NativeScale, cell_starts

CONTRAST = 48
"""Colours this far apart, in the largest channel, make an edge that can be softened."""

COLLINEAR = 10
"""A mixture is no further than this from the line between two colours, in each of two channels."""


def small_steps(native: Pixels) -> float:
    """Of all opaque neighbours of nearly one colour, the share that is not exactly of one colour."""
    solid = native[..., 3] == 255
    steps: list[NDArray[np.int16]] = []
    for now, before in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        steps.append(distance(native[now], native[before])[solid[now] & solid[before]])
    near = np.concatenate(steps)
    near = near[near <= 8]
    return float((near > 0).mean()) if near.size else 0.0


def is_between(first: NDArray[np.int16], middle: NDArray[np.int16], last: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Where a colour is a mixture of two others that contrast. All: (..., 3)."""
    way, part = (last - first).astype(np.float32), (middle - first).astype(np.float32)
    length = np.maximum(np.einsum("...c,...c", way, way), 1)
    share = np.einsum("...c,...c", way, part) / length
    miss = part - share[..., None] * way
    is_near = np.einsum("...c,...c", miss, miss) <= 2 * COLLINEAR**2
    return (distance(first, last) >= CONTRAST) & (share > 0.15) & (share < 0.85) & is_near


def lone_mixtures(native: Pixels, packed: Packed) -> tuple[int, int]:
    """Counts the opaque pixels that mix their two neighbours in a colour used at most twice, and the edges.

    A shading ramp lies between its neighbours too, but an artist uses its colours again and again.
    """
    _, index, counts = np.unique(packed, return_inverse=True, return_counts=True)
    lone = (counts[index] <= 2).reshape(packed.shape) & (native[..., 3] == 255)
    colour, solid = native[..., :3].astype(np.int16), native[..., 3] == 255
    mixed, edges = np.zeros(packed.shape, dtype=bool), 0
    for pixels, own, rare, opaque in (
        (colour, mixed, lone, solid),
        (colour.swapaxes(0, 1), mixed.T, lone.T, solid.T),
    ):
        found = is_between(pixels[:-2], pixels[1:-1], pixels[2:])
        own[1:-1] |= found & rare[1:-1] & opaque[:-2] & opaque[2:]
        edges += int((distance(pixels[1:], pixels[:-1]) >= CONTRAST // 2).sum())
    return int(mixed.sum()), edges


def soft_borders(image: Pixels, native: Pixels, scale: NativeScale) -> tuple[int, int]:
    """Counts the places where two contrasting native pixels meet with a mixture beside them, and all such places.

    Counted along rows and along columns.
    """
    (x, y), factor = scale.offset, scale.factor
    along_rows = soft_columns(image, native, (x, y), factor)
    along_columns = soft_columns(image.swapaxes(0, 1), native.swapaxes(0, 1), (y, x), factor)
    return along_rows[0] + along_columns[0], along_rows[1] + along_columns[1]


def soft_columns(image: Pixels, native: Pixels, offset: tuple[int, int], factor: int) -> tuple[int, int]:
    """`soft_borders` along the rows only."""
    borders = cell_starts(image.shape[1], factor, offset[0])[1:]
    rows = np.searchsorted(cell_starts(len(image), factor, offset[1]), np.arange(len(image)), side="right") - 1
    left, right = native[rows, :-1].astype(np.int16), native[rows, 1:].astype(np.int16)
    meet = (left[..., 3] == 255) & (right[..., 3] == 255)
    meet &= distance(left, right) >= CONTRAST
    left, right = left[meet][:, :3], right[meet][:, :3]
    before, after = (image[:, borders + shift, :3][meet].astype(np.int16) for shift in (-1, 0))
    soft = is_between(left, before, right) | is_between(left, after, right)
    return int(soft.sum()), int(meet.sum())
