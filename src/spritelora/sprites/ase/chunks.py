"""The parts of an Aseprite file's frames, one by one: cels, palettes, tilesets, tags, slices and the colour profile.

Source: github.com/aseprite/aseprite, docs/ase-file-specs.md.
"""

import dataclasses

import numpy as np

from spritelora import limits
from spritelora.sprites.ase.binary import Reader, damaged, unsupported
from spritelora.sprites.ase.document import Cel, Palette, Slice, SliceKey, Tag, Tileset, Tiling

MOST_COLOURS = 256
"""As many as an index of 8 bits can name; further colours of a palette are no pixel's."""

RAW, LINKED, PACKED, PACKED_TILES = 0, 1, 2, 3
ELSEWHERE, INSIDE, EMPTY_FIRST = 1, 2, 4


def read_cel(chunk: Reader) -> tuple[int, Cel]:
    """A cel and the index of its layer."""
    index, x, y, opacity, kind, z_index = chunk.numbers("HhhBHh")
    chunk.take(5)
    cel = Cel((x, y), opacity, z_index)
    if kind == LINKED:
        return index, dataclasses.replace(cel, linked_frame=chunk.numbers("H")[0])
    if kind not in (RAW, PACKED, PACKED_TILES):
        raise unsupported(f"a picture of kind {kind}")
    width, height = chunk.numbers("HH")
    tiling = None
    if kind == PACKED_TILES:
        tiling = Tiling(*chunk.numbers("HIIII"))
        chunk.take(10)
        if tiling.bits not in (8, 16, 32):
            raise damaged(f"a tile of {tiling.bits} bits")
    if not width or not height:
        raise damaged(f"a picture of {width}x{height}")
    return index, dataclasses.replace(
        cel, size=(width, height), content=chunk.rest(), is_packed=kind != RAW, tiling=tiling
    )


def read_palette(chunk: Reader, earlier: Palette | None) -> Palette:
    """The colours after a change of some of them."""
    size, first, last = chunk.numbers("III")
    chunk.take(8)
    colours = np.zeros((min(size, MOST_COLOURS), 4), dtype=np.uint8)
    if earlier is not None:
        colours[: len(earlier)] = earlier[: len(colours)]
    for index in range(first, last + 1):
        flags, *rgba = chunk.numbers("HBBBB")
        if flags & 1:
            chunk.text()
        if index >= size:
            raise damaged(f"its palette of {size} colours has a colour {index}")
        if index < MOST_COLOURS:
            colours[index] = rgba
    return colours


def read_old_palette(chunk: Reader, earlier: Palette | None, is_small: bool) -> Palette:
    """The colours after a change of some; `is_small`: from 0 to 63."""
    colours = np.zeros((256, 4), dtype=np.uint8)
    count = 0 if earlier is None else min(256, len(earlier))
    if earlier is not None:
        colours[:count] = earlier[:count]
    (num_packets,) = chunk.numbers("H")
    index = 0
    for _ in range(num_packets):
        skipped, length = chunk.numbers("BB")
        index, length = index + skipped, length or 256
        if index + length > 256:
            raise damaged(f"its palette has {index + length} colours")
        found = np.frombuffer(chunk.take(3 * length), dtype=np.uint8).reshape(length, 3)
        if is_small and found.max() > 63:
            raise damaged("a colour of its palette is over 63")
        colours[index : index + length, :3] = found * 255.0 / 63 + 0.5 if is_small else found
        colours[index : index + length, 3] = 255
        index += length
        count = max(count, index)
    return colours[:count]


def read_tileset(chunk: Reader) -> tuple[int, Tileset]:
    """A tileset and its number."""
    number, flags, count, width, height, _ = chunk.numbers("IIIHHh")
    chunk.take(14)
    name = chunk.text()
    if flags & ELSEWHERE:
        chunk.take(8)
    content = None
    if flags & INSIDE:
        (length,) = chunk.numbers("I")
        content = chunk.take(length)
    if not width or not height:
        raise damaged(f"tiles of {width}x{height} px")
    limits.SHEET_PIXELS.check(count * width * height, found=f"{count:,} tiles of {width}x{height}")
    return number, Tileset(name, count, (width, height), content, bool(flags & EMPTY_FIRST))


def read_tags(chunk: Reader, num_frames: int) -> list[Tag]:
    """Tags of a file of so many frames."""
    (count,) = chunk.numbers("H")
    chunk.take(8)
    tags: list[Tag] = []
    for _ in range(count):
        first, last = chunk.numbers("HH")
        chunk.take(13)
        name = chunk.text()
        if not first <= last < num_frames:
            raise damaged(f"a tag covers frames {first} to {last} of {num_frames}")
        tags.append(Tag(name, first, last))
    return tags


def read_slice(chunk: Reader) -> Slice:
    """A slice with all its rectangles."""
    count, flags, _ = chunk.numbers("III")
    name = chunk.text()
    limits.ASE_SLICES.check(count)
    keys: list[SliceKey] = []
    extra = 16 * bool(flags & 1) + 8 * bool(flags & 2)
    for _ in range(count):
        frame, x, y, width, height = chunk.numbers("IiiII")
        chunk.take(extra)
        keys.append(SliceKey(frame, (x, y), (width, height)))
    return Slice(name, tuple(keys))


def read_profile(chunk: Reader) -> str:
    """The kind of colours, empty for sRGB and where nothing is said."""
    kind, flags, _ = chunk.numbers("HHI")
    if flags & 1:
        return "a gamma of its own"
    return "an ICC profile" if kind == 2 else ""
