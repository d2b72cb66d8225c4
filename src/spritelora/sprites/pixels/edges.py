"""Where the colours of an image change along its rows and columns, and which regular grid those places lie on."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.image import Pixels

Packed = NDArray[np.uint32]
Plane = NDArray[np.int16]
Profile = NDArray[np.float64]

NOISE_STEP = 20
"""Steps of lightness below this are left out: ringing of a JPEG of quality 90 seldom reaches it."""

FULL_STEP = 64
"""Steps above this weigh no more, so that a black outline does not drown the rest."""

SAMPLED_LINES = 512
"""Of a larger image only every second, third, ... line is read, to bound the time."""


@dataclass(frozen=True)
class Grid:
    """A regular grid along one axis. `share`: 0 for edges anywhere, 1 for all on the grid."""

    offset: int
    share: float


def pack_colours(image: Pixels) -> Packed:
    """The pixels of an RGBA image as one number each, (H, W); all fully transparent ones are 0."""
    packed = np.ascontiguousarray(image).view(np.uint32)[..., 0]
    return np.where(image[..., 3] > 0, packed, np.uint32(0))


def change_positions(packed: Packed) -> NDArray[np.intp]:
    """Every x at which a column differs from the one before it. `packed`: (H, W)."""
    return np.flatnonzero((packed[:, 1:] != packed[:, :-1]).any(axis=0)) + 1


def spacing(positions: NDArray[np.intp]) -> int:
    """The greatest common divisor of the distances between positions, 0 where there are fewer than two."""
    return math.gcd(*np.diff(positions).tolist())


def distance(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int16]:
    """Distances of colours in their largest channel, alpha included where there is one. Both: (..., C)."""
    steps = np.abs(first.astype(np.int16) - second)
    return functools.reduce(np.maximum, (steps[..., channel] for channel in range(steps.shape[-1])))


def edge_planes(image: Pixels) -> list[Plane]:
    """Planes to find edges in, (H, W): lightness (Rec. 601, hidden colour as black), and alpha where it varies."""
    red, green, blue = (image[..., channel].astype(np.uint16) for channel in range(3))
    light = ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.int16)
    alpha = image[..., 3].astype(np.int16)
    return [light] if bool((alpha == 255).all()) else [light * (alpha > 0), alpha]


def edge_profile(planes: list[Plane]) -> Profile:
    """The amount of edge at each x: steps over `NOISE_STEP` that are the largest of their place, summed over rows.

    `planes`: (H, W) each. Returns (W,); entry x belongs to the boundary between x - 1 and x.
    """
    height, width = planes[0].shape
    lines = [np.ascontiguousarray(plane[:: max(1, height // SAMPLED_LINES)]) for plane in planes]
    steps = np.zeros((len(lines[0]), width + 1), dtype=np.int16)
    for plane in lines:
        np.maximum(steps[:, 1:-1], np.abs(plane[:, 1:] - plane[:, :-1]), out=steps[:, 1:-1])
    middle = steps[:, 1:-1]
    peak = (middle >= NOISE_STEP) & (middle >= steps[:, :-2]) & (middle > steps[:, 2:])
    profile = np.zeros(width)
    profile[1:] = (np.minimum(middle, FULL_STEP) * peak).sum(axis=0)
    return profile


def fit_grid(profile: Profile, factor: int, width: int) -> Grid:
    """The offset at which a grid of this spacing meets the most edge, and how far that is above chance.

    `width`: boundaries a grid line stands for; 2 where a softened edge is spread over two of them.
    """
    total = float(profile.sum())
    if total == 0:
        return Grid(0, 0.0)
    padded = np.zeros(-(-len(profile) // factor) * factor)
    padded[: len(profile)] = profile
    folded = padded.reshape(-1, factor).sum(axis=0)
    met = folded + np.roll(folded, -1) if width == 2 else folded
    first = int(met.argmax())
    offset = max(range(first, first + width), key=lambda place: float(folded[place % factor])) % factor
    return Grid(offset, (float(met[first]) / total - width / factor) / (1 - width / factor))
