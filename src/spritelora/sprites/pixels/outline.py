"""The outline of a sprite: its pixels at the ground, which is reached from the border."""

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.image import Pixels

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


def outer_sides(alpha: Pixels) -> NDArray[np.int64]:
    """The sides of each visible pixel that lie at the ground, 0 to 4, (H, W).

    Ground is what lies around the image, and the clear pixels that are joined to it. `alpha`: (H, W). Enlarging a
    sprite multiplies the sides of each colour by the same number, as it does not the pixels.
    """
    is_drawn = alpha > 0
    ground = flood_border(np.pad(~is_drawn, 1, constant_values=True)).astype(np.int64)
    sides = ground[:-2, 1:-1] + ground[2:, 1:-1] + ground[1:-1, :-2] + ground[1:-1, 2:]
    return sides * is_drawn


def flood_border(mask: Mask) -> Mask:
    """The part of a mask (H, W) that is joined to the image's border by the sides of its pixels.

    Unbroken runs of rows are joined over all rows at once, so that a maze takes no longer than a plain shape.
    """
    runs = _label_runs(mask)
    border = np.concatenate([runs[0], runs[-1], runs[:, 0], runs[:, -1]])
    upper, lower = runs[:-1], runs[1:]
    joined = (upper > 0) & (lower > 0)
    ones = np.concatenate([border[border > 0], upper[joined]])
    others = np.concatenate([np.zeros(np.count_nonzero(border), dtype=np.int32), lower[joined]])
    return (_lowest_joined(int(runs.max(initial=0)) + 1, ones, others) == 0)[runs] & mask


def _label_runs(mask: Mask) -> Labels:
    """A number from 1 on for each unbroken run of a row; 0 outside the mask."""
    starts = mask.copy()
    starts[:, 1:] &= ~mask[:, :-1]
    return np.cumsum(starts.ravel(), dtype=np.int32).reshape(mask.shape) * mask


def _lowest_joined(num_nodes: int, ones: Labels, others: Labels) -> Labels:
    """Of each node of a graph the lowest one that it is joined to. `ones`, `others`: the ends of each edge."""
    lowest = np.arange(num_nodes, dtype=np.int32)
    while True:
        ends = lowest[ones], lowest[others]
        is_open = ends[0] != ends[1]
        if not is_open.any():
            return lowest
        ones, others = ones[is_open], others[is_open]
        low, high = np.minimum(*ends)[is_open], np.maximum(*ends)[is_open]
        np.minimum.at(lowest, high, low)
        while (lowest[lowest] != lowest).any():
            lowest = lowest[lowest]
