"""The colour that goes under transparent pixels: one for the whole set, and none of the sprites' own."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PREFERRED = ((255, 255, 255), (192, 192, 192), (128, 128, 128), (0, 0, 0))
CLEAR_DISTANCE = 24
GRID_STEP = 15


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
    nearest = np.full(len(candidates), 256, dtype=np.int64)
    for chunk in np.array_split(present, max(1, len(present) // 256)):
        if len(chunk):
            distance = np.abs(candidates[:, None].astype(np.int16) - chunk[None]).max(axis=-1).min(axis=1)
            nearest = np.minimum(nearest, distance)
    return nearest
