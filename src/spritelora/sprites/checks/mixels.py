"""Parts of a sprite that are drawn in larger pixels than the rest."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.edges import Packed

COARSE_FACTORS = (2, 3, 4)

WINDOW_STEPS = (1, 2, 4, 8, 16)
"""Doubling a square of one vertex by each step in turn gives squares of 2, 4, 8, 16 and 32."""

SMALLEST_WINDOW = 8

CHANCE = 1e-5
"""The largest probability of a finding among corners that fall anywhere."""


@dataclass(frozen=True)
class CoarsePart:
    """A square of native pixels in which everything lies on a coarser grid. `factor`: how much coarser."""

    factor: int
    x: int
    y: int
    side: int


def find_corners(packed: Packed) -> NDArray[np.bool_]:
    """Where colour boundaries turn, end or meet. Returns (H - 1, W - 1): the vertices within the image."""
    a, b, c, d = packed[:-1, :-1], packed[:-1, 1:], packed[1:, :-1], packed[1:, 1:]
    return ~(((a == b) & (c == d)) | ((a == c) & (b == d)))


def double(values: NDArray[Any], step: int, join: Callable[[Any, Any], Any]) -> NDArray[Any]:
    """Join each entry with its neighbours `step` to the right, below and across."""
    across = join(values[:, :-step], values[:, step:])
    return join(across[:-step], across[step:])


def find_coarse_part(packed: Packed) -> CoarsePart | None:
    """The square with the most corners, all of them on one coarser grid, in a sprite that is not on that grid.

    Corners of a sprite drawn pixel by pixel fall on a given grid of spacing f once in f ** 2 times, so n of them do
    so by chance with probability f ** (-2 n). Half of n is counted, since sprites are often symmetric. `packed`:
    native pixels, (H, W).
    """
    corners = find_corners(packed)
    counts = corners.astype(np.int32)
    rows, columns = np.indices(corners.shape)
    low: dict[int, NDArray[np.uint8]] = {}
    high: dict[int, NDArray[np.uint8]] = {}
    for factor in COARSE_FACTORS:
        phase = (rows % factor * factor + columns % factor + 1).astype(np.uint8)
        low[factor], high[factor] = np.where(corners, phase, np.uint8(255)), np.where(corners, phase, np.uint8(0))
    best, most = None, 0
    for step in (step for step in WINDOW_STEPS if 2 * step <= min(corners.shape)):
        counts = double(counts, step, np.add)
        for factor in COARSE_FACTORS:
            low[factor] = double(low[factor], step, np.minimum)
            high[factor] = double(high[factor], step, np.maximum)
            kept = np.where(low[factor] == high[factor], counts, 0)
            y, x = (int(index) for index in np.unravel_index(kept.argmax(), kept.shape))
            needed = math.ceil(-math.log(CHANCE) / math.log(factor))
            if 2 * step >= SMALLEST_WINDOW and int(kept[y, x]) > max(most, needed):
                best, most = CoarsePart(factor, x + 1, y + 1, 2 * step), int(kept[y, x])
    return best
