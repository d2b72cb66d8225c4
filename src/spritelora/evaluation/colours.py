"""The colours of a sprite: how many, how far from a palette, and how much of it they cover."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.palette import TO_CONES, TO_LAB, count_colours, to_oklab

LabImage = NDArray[np.float32]

VISIBLE = 0.02
"""The OKLab distance below which colours pass for one. Source: CSS Color 4, section 13.2, deltaEOK's JND."""

MOST_COLOURS = 256
"""The most colours of an indexed PNG."""

BLOCK = 32
"""Colours that are settled among themselves before the rest is held against them."""

COLOURS_AT_ONCE = 2_000_000
"""Distances held in memory at a time."""

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def image_oklab(images: Pixels) -> LabImage:
    """Whole images (..., 3) in OKLab: `to_oklab` to 1e-6, and several times faster, for there are 256 codes only."""
    cones = _LINEAR[images].reshape(-1, 3) @ TO_CONES.T.astype(np.float32)
    return (np.cbrt(cones, out=cones) @ TO_LAB.T.astype(np.float32)).reshape(images.shape)


@dataclass(frozen=True)
class Palette:
    """The colours of a set of sprites. `colours`: (K, 3). `weights`: (K,), the share of pixels of each, sum 1."""

    colours: NDArray[np.uint8]
    weights: NDArray[np.float64]


def palette_of(sprites: list[Pixels]) -> Palette:
    """Every colour of a set of RGB sprites (h, w, 3), each at its native size."""
    colours, counts = count_colours(np.concatenate([sprite.reshape(-1, 3) for sprite in sprites]))
    return Palette(colours, counts / counts.sum())


def nearest_colours(colours: NDArray[np.uint8], palette: NDArray[np.uint8]) -> tuple[NDArray, NDArray]:
    """For each colour (N, 3) the number of the nearest of a palette (K, 3), and its OKLab distance: (N,), (N,)."""
    lab, known = to_oklab(colours), to_oklab(palette)
    rough, squares = (-2 * known.T).astype(np.float32), (known**2).sum(1).astype(np.float32)
    parts = np.array_split(lab, max(1, len(lab) * len(known) // COLOURS_AT_ONCE))
    nearest = np.concatenate([(part.astype(np.float32) @ rough + squares).argmin(1) for part in parts])
    return nearest, np.linalg.norm(lab - known[nearest], axis=1)


def palette_distance(native: Pixels, palette: Palette) -> float:
    """The mean over pixels (..., 3) of the OKLab distance to the nearest colour of a palette.

    0 (every colour is the palette's) to about 1.
    """
    colours, counts = count_colours(native)
    return float(np.average(nearest_colours(colours, palette.colours)[1], weights=counts))


def palette_coverage(native: Pixels, palette: Palette) -> float:
    """The share of a palette, weighted by use, that has a visibly equal colour in pixels (..., 3): 0 to 1.

    One image covers what one image can; over a stack of images it says what part of the set's colours is never made.
    """
    present, _ = count_colours(native)
    return float(palette.weights[nearest_colours(palette.colours, present)[1] <= VISIBLE].sum())


def count_visible_colours(native: Pixels) -> int:
    """Counts the colours of pixels (..., 3); those within `VISIBLE` of a more frequent one count as that one.

    1 to `MOST_COLOURS`, which stands for any more.
    """
    colours, counts = count_colours(native)
    left = to_oklab(colours[np.argsort(-counts, kind="stable")]).astype(np.float32)
    found = 0
    while len(left) and found < MOST_COLOURS:
        block, left = left[:BLOCK], left[BLOCK:]
        alike = (_squared_distances(block, block) <= VISIBLE**2).tolist()
        kept: list[int] = []
        for number, row in enumerate(alike):
            if not any(row[earlier] for earlier in kept):
                kept.append(number)
        found += len(kept)
        left = left[_squared_distances(left, block[kept]).min(axis=1) > VISIBLE**2]
    return min(found, MOST_COLOURS)


def _squared_distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of colours (N, 3) and (K, 3) in OKLab: (N, K)."""
    return (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
