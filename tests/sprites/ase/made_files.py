"""Aseprite files as the format's public description has them, written here without any code of the reader.

Source: github.com/aseprite/aseprite, docs/ase-file-specs.md.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

VISIBLE, BACKGROUND, REFERENCE = 1, 8, 64


def text(value: str) -> bytes:
    return struct.pack("<H", len(value.encode())) + value.encode()


def chunk(kind: int, content: bytes) -> bytes:
    return struct.pack("<IH", len(content) + 6, kind) + content


def layer(
    name: str = "Layer 1",
    *,
    flags: int = VISIBLE,
    kind: int = 0,
    level: int = 0,
    mode: int = 0,
    opacity: int = 255,
    tileset: int = 0,
) -> bytes:
    head = struct.pack("<HHHHHHB3x", flags, kind, level, 0, 0, mode, opacity)
    return chunk(0x2004, head + text(name) + (struct.pack("<I", tileset) if kind == 2 else b""))


def group(name: str, **options: int) -> bytes:
    return layer(name, kind=1, **options)


def cel(
    index: int,
    pixels: np.ndarray,
    corner: tuple[int, int] = (0, 0),
    *,
    opacity: int = 255,
    z_index: int = 0,
    is_packed: bool = True,
) -> bytes:
    height, width = pixels.shape[:2]
    content = pixels.astype(np.uint8).tobytes()
    head = struct.pack("<HhhBHh5x", index, *corner, opacity, 2 if is_packed else 0, z_index)
    return chunk(0x2005, head + struct.pack("<HH", width, height) + (zlib.compress(content) if is_packed else content))


def link(index: int, frame: int, corner: tuple[int, int] = (0, 0)) -> bytes:
    return chunk(0x2005, struct.pack("<HhhBHh5xH", index, *corner, 255, 1, 0, frame))


def tilemap(index: int, tiles: np.ndarray, corner: tuple[int, int] = (0, 0)) -> bytes:
    head = struct.pack("<HhhBHh5x", index, *corner, 255, 3, 0)
    masks = struct.pack("<HHHIIII10x", tiles.shape[1], tiles.shape[0], 32, 0x1FFFFFFF, 1 << 31, 1 << 30, 1 << 29)
    return chunk(0x2005, head + masks + zlib.compress(tiles.astype("<u4").tobytes()))


def tileset(number: int, tiles: np.ndarray, *, flags: int = 2 | 4) -> bytes:
    """`tiles`: (N, H, W, bytes)."""
    packed = zlib.compress(tiles.astype(np.uint8).tobytes())
    head = struct.pack("<IIIHHh14x", number, flags, len(tiles), tiles.shape[2], tiles.shape[1], 1) + text("tiles")
    elsewhere = struct.pack("<II", 1, 1) if flags & 1 else b""
    return chunk(0x2023, head + elsewhere + (struct.pack("<I", len(packed)) + packed if flags & 2 else b""))


def palette(colours: Sequence[tuple[int, int, int, int]], first: int = 0, size: int | None = None) -> bytes:
    """A new palette; each second colour has a name."""
    head = struct.pack("<III8x", size or first + len(colours), first, first + len(colours) - 1)
    entries = [
        struct.pack("<HBBBB", i % 2, *colour) + (text(f"colour {i}") if i % 2 else b"")
        for i, colour in enumerate(colours)
    ]
    return chunk(0x2019, head + b"".join(entries))


def old_palette(colours: Sequence[tuple[int, int, int]], skipped: int = 0, kind: int = 0x0004) -> bytes:
    return chunk(kind, struct.pack("<HBB", 1, skipped, len(colours) % 256) + bytes(np.array(colours, np.uint8).ravel()))


def tags(*named: tuple[str, int, int]) -> bytes:
    entries = [struct.pack("<HHBH6x3BB", first, last, 0, 0, 0, 0, 0, 0) + text(name) for name, first, last in named]
    return chunk(0x2018, struct.pack("<H8x", len(named)) + b"".join(entries))


def slice_(name: str, *keys: tuple[int, int, int, int, int], flags: int = 0) -> bytes:
    """`keys`: frame, x, y, width, height."""
    extra = bytes(16 * bool(flags & 1) + 8 * bool(flags & 2))
    entries = [struct.pack("<IiiII", *key) + extra for key in keys]
    return chunk(0x2022, struct.pack("<III", len(keys), flags, 0) + text(name) + b"".join(entries))


def profile(kind: int, flags: int = 0, content: bytes = b"") -> bytes:
    tail = struct.pack("<I", len(content)) + content if kind == 2 else b""
    return chunk(0x2007, struct.pack("<HHI8x", kind, flags, 0) + tail)


@dataclass(frozen=True)
class File:
    """A file of frames, each a list of chunks. `size`: width and height. `flags`: 1 opacity, 2 groups."""

    size: tuple[int, int]
    frames: Sequence[Sequence[bytes]]
    depth: int = 32
    flags: int = 1
    transparent: int = 0
    pixel: tuple[int, int] = (1, 1)

    def encode(self) -> bytes:
        body = b"".join(self._frame(chunks) for chunks in self.frames)
        kind = 0xA5E0, len(self.frames), *self.size, self.depth, self.flags
        head = struct.pack("<HHHHHIH8xB3xHBB", *kind, 100, self.transparent, 0, *self.pixel)
        head += bytes(124 - len(head))
        return struct.pack("<I", 4 + len(head) + len(body)) + head + body

    @staticmethod
    def _frame(chunks: Sequence[bytes]) -> bytes:
        content = b"".join(chunks)
        return struct.pack("<IHHH2xI", 16 + len(content), 0xF1FA, min(len(chunks), 0xFFFF), 100, len(chunks)) + content
