"""The parts of an Aseprite file: frames, layers, cels, palettes, tilesets, tags and slices, pixels still packed.

Source: github.com/aseprite/aseprite, docs/ase-file-specs.md, the format's public description; names are its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Palette = NDArray[np.uint8]
"""RGBA of each index that has a colour, (N, 4)."""


class Mode(IntEnum):
    """The ways in which a layer is mixed with what lies below it."""

    normal = 0
    multiply = 1
    screen = 2
    overlay = 3
    darken = 4
    lighten = 5
    color_dodge = 6
    color_burn = 7
    hard_light = 8
    soft_light = 9
    difference = 10
    exclusion = 11
    hue = 12
    saturation = 13
    color = 14
    luminosity = 15
    addition = 16
    subtract = 17
    divide = 18


@dataclass(frozen=True)
class Layer:
    """A layer or group. `parent`: the index of its group, -1 for none. `tileset`: -1 for a layer of pixels.

    `is_visible`: it is, and all its groups are. `is_reference`: a picture to draw by, no part of the sprite.
    """

    name: str
    parent: int
    mode: Mode
    opacity: int
    is_group: bool
    is_visible: bool
    is_background: bool
    is_reference: bool
    tileset: int = -1


@dataclass(frozen=True)
class Tiling:
    """The numbers that a tilemap's tiles are made of: bits of a tile, and masks of number and flips."""

    bits: int
    number: int
    flip_x: int
    flip_y: int
    flip_diagonal: int


@dataclass(frozen=True)
class Cel:
    """A layer's picture in a frame. `corner`: on the canvas. `size`: in pixels, of a tilemap in tiles.

    `linked_frame`: the one whose picture is shown; -1 for one of its own. `tiling`: of a tilemap.
    """

    corner: tuple[int, int]
    opacity: int
    z_index: int
    size: tuple[int, int] = (0, 0)
    content: bytes | memoryview = b""
    is_packed: bool = True
    linked_frame: int = -1
    tiling: Tiling | None = None


@dataclass(frozen=True)
class Tileset:
    """The tiles of tilemaps. `size`: of one. `content`: packed, None where they are in another file.

    `has_empty_first`: tile 0 shows nothing; else a tile whose bits are all 1 does.
    """

    name: str
    count: int
    size: tuple[int, int]
    content: memoryview | None
    has_empty_first: bool


@dataclass(frozen=True)
class Tag:
    """A run of frames with a name, from the first to the last."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class SliceKey:
    """The rectangle of a slice from a frame on; of width or height 0 it is hidden."""

    frame: int
    corner: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class Slice:
    """A named rectangle of the canvas, which may change from frame to frame."""

    name: str
    keys: tuple[SliceKey, ...]

    def at(self, frame: int) -> SliceKey | None:
        """The rectangle in a frame, None where it is hidden."""
        key = max((key for key in self.keys if key.frame <= frame), key=lambda key: key.frame, default=None)
        return key if key is not None and min(key.size) > 0 else None


@dataclass(frozen=True)
class Frame:
    """The cels of a frame by layer, and its palette; None of a file without one."""

    cels: dict[int, Cel]
    palette: Palette | None


@dataclass(frozen=True)
class Document:
    """A whole file. `pixel`: canvas pixels that one is wide and high. `bytes_per_pixel`: 4 RGBA, 2 grey, 1 indexed.

    `transparent`: the index of layers without background that shows nothing. `has_groups`: groups are drawn by
    themselves, with their own opacity and mode. `profile`: its colours are in a space of their own, empty for sRGB.
    """

    size: tuple[int, int]
    pixel: tuple[int, int]
    bytes_per_pixel: int
    transparent: int
    has_groups: bool
    layers: Sequence[Layer]
    frames: Sequence[Frame]
    tilesets: dict[int, Tileset]
    tags: Sequence[Tag]
    slices: Sequence[Slice]
    profile: str = ""

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as the sprite is seen, in square pixels."""
        return self.size[0] * self.pixel[0], self.size[1] * self.pixel[1]

    def drawn_layers(self, frame: int) -> list[int]:
        """The layers that show something in a frame, bottom first."""
        drawn = (i for i, layer in enumerate(self.layers) if layer.is_visible and not layer.is_reference)
        return [i for i in drawn if i in self.frames[frame].cels and not self.layers[i].is_group]
