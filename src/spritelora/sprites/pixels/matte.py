"""The colour that goes under transparent pixels: one for the whole set, and none of the sprites' own."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PREFERRED = ((255, 255, 255), (192, 192, 192), (128, 128, 128), (0, 0, 0))
CLEAR_DISTANCE = 24
GRID_STEP = 15

MANY_COLOURS = 4096
"""From here on counting colours in boxes is faster than comparing them one by one."""


def choose_matte(colours: NDArray[np.uint32]) -> tuple[int, int, int]:
    """A plain colour that none of `colours` is: the first neutral one clear of all, else the farthest from all.

    `colours`: packed 0xRRGGBB, (N,). Distance is the largest difference of a channel, in 0 to 255.
    """
    present = _unpack(colours)
    for colour in PREFERRED:
        if _clearance(np.array([colour]), present)[0] >= CLEAR_DISTANCE:
            return colour
    levels = np.arange(0, 256, GRID_STEP)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    red, green, blue = grid[int(_clearance(grid, present).argmax())].tolist()
    return red, green, blue


def unite_colours(sets: Iterable[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """The distinct colours of several sprites."""
    return np.unique(np.concatenate([np.empty(0, np.uint32), *sets]))


def _unpack(colours: NDArray[np.uint32]) -> NDArray[np.int16]:
    return np.stack([(colours >> shift) & 255 for shift in (16, 8, 0)], axis=-1).astype(np.int16)


def _clearance(candidates: NDArray[np.int64], present: NDArray[np.int16]) -> NDArray[np.int64]:
    """Distance of each candidate to the nearest colour present; 256 where none is."""
    if len(present) > MANY_COLOURS:
        return _clearance_of_many(candidates, present)
    nearest = np.full(len(candidates), 256, dtype=np.int64)
    for chunk in np.array_split(present, max(1, len(present) // 256)):
        if len(chunk):
            distance = np.abs(candidates[:, None].astype(np.int16) - chunk[None]).max(axis=-1).min(axis=1)
            nearest = np.minimum(nearest, distance)
    return nearest


def _clearance_of_many(candidates: NDArray[np.int64], present: NDArray[np.int16]) -> NDArray[np.int64]:
    """The same in a time that does not grow with the colours: the smallest box around a candidate that holds one.

    `counts[r, g, b]`: colours present below r, g and b in each channel.
    """
    counts = np.zeros((257, 257, 257), dtype=np.int32)
    counts[tuple(present.T.astype(np.int64) + 1)] = 1
    for axis in range(3):
        np.cumsum(counts, axis=axis, out=counts)
    low, high = np.zeros(len(candidates), np.int64), np.full(len(candidates), 255, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        has_one = _num_in_box(counts, candidates - middle[:, None], candidates + middle[:, None]) > 0
        low, high = np.where(has_one, low, middle + 1), np.where(has_one, middle, high)
    return low


def _num_in_box(counts: NDArray[np.int32], lowest: NDArray[np.int64], highest: NDArray[np.int64]) -> NDArray[np.int32]:
    """Counts the colours from `lowest` to `highest` (N, 3), both included."""
    below, above = np.clip(lowest, 0, 256), np.clip(highest + 1, 0, 256)
    total = np.zeros(len(lowest), dtype=np.int32)
    for corner in np.ndindex(2, 2, 2):
        place = np.where(np.array(corner) == 1, above, below)
        total += (-1) ** (3 - sum(corner)) * counts[tuple(place.T)]
    return total
