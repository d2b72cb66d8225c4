"""The colour that goes under transparent pixels: one for the whole set, and one that parts its figures from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.image import Pixels, pack_rgb, visible_colours
from spritelora.sprites.pixels.outline import outer_sides

Colour = tuple[int, int, int]
Packed = NDArray[np.uint32]
"""Colours as 0xRRGGBB, (N,)."""

PREFERRED = ((255, 255, 255), (192, 192, 192), (128, 128, 128), (0, 0, 0))

CLEAR_DISTANCE = 24
"""Colours that differ by less in every channel, of 255, are near one another."""

EDGE_SHARE = 0.01
"""Less than this share of the sprites' edges, on average, may be near a matte."""

TOUCHED_SHARE = 0.05
"""A sprite touches a matte where more than this share of its own edge is near it."""

FEW_SHARE = 0.05
"""At most this share of the sprites may touch a matte."""

GRID_STEP = 15

MANY_COLOURS = 4096
"""From here on counting colours in boxes is faster than comparing them one by one."""


@dataclass(frozen=True)
class SpriteColours:
    """The colours of a sprite's visible pixels: all distinct ones, and those of its edge with their shares of it."""

    visible: Packed
    edge: Packed
    edge_shares: NDArray[np.float64]


def sprite_colours(sprite: Pixels) -> SpriteColours:
    """The colours of an RGBA sprite (H, W, 4)."""
    packed, sides = pack_rgb(sprite), outer_sides(sprite[..., 3])
    edge, places = np.unique(packed[sides > 0], return_inverse=True)
    counts = np.bincount(places, sides[sides > 0], len(edge))
    return SpriteColours(visible_colours(sprite), edge, counts / max(1, counts.sum()))


def choose_matte(sprites: Sequence[SpriteColours]) -> Colour:
    """White, else another neutral colour that parts the sprites from their ground, else the farthest from all colours.

    What lies inside an outline does not count for the neutral ones: cutting out works from the border inwards.
    """
    for colour in PREFERRED:
        if is_parted(near_shares(colour, sprites)):
            return colour
    levels = np.arange(0, 256, GRID_STEP)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    red, green, blue = grid[int(_clearance(grid, _unpack(_unite(sprites))).argmax())].tolist()
    return red, green, blue


def near_shares(matte: Colour, sprites: Sequence[SpriteColours]) -> NDArray[np.float64]:
    """Of each sprite the share of its edge that is near a matte, (N,)."""
    if not sprites:
        return np.zeros(0)
    owners = np.repeat(np.arange(len(sprites)), [len(s.edge) for s in sprites])
    shares = np.concatenate([s.edge_shares for s in sprites])
    near = shares * is_near(matte, np.concatenate([s.edge for s in sprites]))
    return np.bincount(owners, near, len(sprites)).astype(np.float64)


def is_parted(shares: NDArray[np.float64]) -> bool:
    """Whether the figures of a set part from a matte. `shares`: of each sprite's edge, near the matte."""
    return not len(shares) or bool(shares.mean() < EDGE_SHARE and (shares > TOUCHED_SHARE).mean() <= FEW_SHARE)


def has_near(matte: Colour, sprites: Sequence[SpriteColours]) -> bool:
    """Whether a visible pixel of a sprite, inside its outline too, is near a matte."""
    return any(is_near(matte, sprite.visible).any() for sprite in sprites)


def is_near(matte: Colour, colours: Packed, below: int = CLEAR_DISTANCE) -> NDArray[np.bool_]:
    """Which colours are near a matte, (N,): they differ by less than `below` in every channel."""
    return np.abs(_unpack(colours) - np.array(matte, dtype=np.int16)).max(axis=-1, initial=0) < below


def _unite(sprites: Sequence[SpriteColours]) -> Packed:
    """The distinct visible colours of all sprites, in memory that does not grow with them."""
    present = np.zeros(1 << 24, dtype=np.bool_)
    for sprite in sprites:
        present[sprite.visible] = True
    return np.flatnonzero(present).astype(np.uint32)


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
