"""An Aseprite file taken apart into its document; every length is checked before it is believed.

Source: github.com/aseprite/aseprite, docs/ase-file-specs.md.
"""

import dataclasses
from math import gcd

from spritelora import limits
from spritelora.sprites.ase.binary import AseError, Reader, damaged, unsupported
from spritelora.sprites.ase.chunks import (
    read_cel,
    read_old_palette,
    read_palette,
    read_profile,
    read_slice,
    read_tags,
    read_tileset,
)
from spritelora.sprites.ase.document import (
    Cel,
    Document,
    Frame,
    Layer,
    Mode,
    Palette,
    Slice,
    Tag,
    Tileset,
)

MAGIC, FRAME_MAGIC = 0xA5E0, 0xF1FA
HEADER_BYTES, FRAME_BYTES, CHUNK_BYTES = 128, 16, 6
OLD_PALETTE, OLDER_PALETTE, LAYER, CEL, PROFILE, TAGS, PALETTE, SLICE, TILESET = (
    0x0004, 0x0011, 0x2004, 0x2005, 0x2007, 0x2018, 0x2019, 0x2022, 0x2023,
)  # fmt: skip
VISIBLE, BACKGROUND, REFERENCE = 1, 8, 64
HAS_OPACITY, HAS_GROUPS = 1, 2
GROUP, TILEMAP = 1, 2


def parse_document(content: bytes) -> Document:
    """The document of a whole file. Raises AseError for one that is damaged, over a limit, or of an unknown kind."""
    try:
        return _Parser(content).parse()
    except AseError:
        raise
    except ValueError as error:  # a limit
        raise AseError(str(error)) from error


class _Parser:
    """What is known of a file while its frames are read, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._file = Reader(memoryview(content), "the file")
        head = self._file.part(HEADER_BYTES, "its header")
        (self._size, magic, self._num_frames, width, height, depth, self._flags) = head.numbers("IHHHHHI")
        *_, self._transparent, _, _, _, _, wide, high = head.numbers("HIIBBBBHBB")
        if magic != MAGIC:
            raise damaged(f"its mark is {magic:#06x}, not {MAGIC:#06x}")
        if self._size > len(content):
            raise damaged(f"it has {len(content):,} of the {self._size:,} bytes that it names")
        if depth not in (8, 16, 32) or not width or not height or not self._num_frames:
            raise damaged(f"{self._num_frames} frames of {width}x{height} px with {depth} bits a pixel")
        shared = gcd(wide, high) or 1
        self._pixel = (wide // shared, high // shared) if wide and high else (1, 1)
        limits.SIDE_PX.check(max(width * self._pixel[0], height * self._pixel[1]), found=f"{width}x{height}")
        self._canvas, self._bytes_per_pixel = (width, height), depth // 8
        self._layers: list[Layer] = []
        self._levels: list[int] = []
        self._tilesets: dict[int, Tileset] = {}
        self._tags: list[Tag] = []
        self._slices: list[Slice] = []
        self._palette: Palette | None = None
        self._has_new_palette = False
        self._profile = ""
        self._num_chunks, self._num_keys = 0, 0

    def parse(self) -> Document:
        """Reads all frames."""
        frames = [self._frame(number) for number in range(self._num_frames)]
        if not self._layers:
            raise damaged("it has no layer")
        self._check_cels(frames)
        _settle_links(frames)
        return Document(
            self._canvas,
            self._pixel,
            self._bytes_per_pixel,
            self._transparent,
            bool(self._flags & HAS_GROUPS),
            self._layers,
            frames,
            self._tilesets,
            self._tags,
            self._slices,
            self._profile,
        )

    def _frame(self, number: int) -> Frame:
        size, magic, old_count, _, _, count = self._file.numbers("IHHHHI")
        if magic != FRAME_MAGIC or size < FRAME_BYTES:
            raise damaged(f"frame {number} has the mark {magic:#06x} and {size:,} bytes")
        frame = self._file.part(size - FRAME_BYTES, f"frame {number}")
        cels: dict[int, Cel] = {}
        for _ in range(count or old_count):
            self._num_chunks += 1
            limits.ASE_CHUNKS.check(self._num_chunks)
            length, kind = frame.numbers("IH")
            if length < CHUNK_BYTES:
                raise damaged(f"a part of frame {number} has {length} bytes")
            self._chunk(kind, frame.part(length - CHUNK_BYTES, f"frame {number}"), cels, number)
        return Frame(cels, self._palette)

    def _chunk(self, kind: int, chunk: Reader, cels: dict[int, Cel], frame: int) -> None:
        """Read one part of a frame; kinds that say nothing of its looks are passed over."""
        if kind == CEL:
            index, cel = read_cel(chunk)
            if cels.setdefault(index, cel) is not cel:
                raise damaged(f"frame {frame} has layer {index} twice")
        elif kind == LAYER:
            self._add_layer(chunk)
        elif kind == PALETTE:
            self._palette, self._has_new_palette = read_palette(chunk, self._palette), True
        elif kind in (OLD_PALETTE, OLDER_PALETTE) and not self._has_new_palette:
            self._palette = read_old_palette(chunk, self._palette, is_small=kind == OLDER_PALETTE)
        elif kind == TILESET:
            number, tileset = read_tileset(chunk)
            self._tilesets[number] = tileset
        elif kind == TAGS:
            self._tags += read_tags(chunk, self._num_frames)
            limits.ASE_TAGS.check(len(self._tags))
        elif kind == SLICE:
            self._slices.append(read_slice(chunk))
            self._num_keys += 1 + len(self._slices[-1].keys)
            limits.ASE_SLICES.check(self._num_keys)
        elif kind == PROFILE:
            self._profile = read_profile(chunk)

    def _add_layer(self, chunk: Reader) -> None:
        flags, kind, level, _, _, mode, opacity = chunk.numbers("HHHHHHB")
        chunk.take(3)
        name = chunk.text()
        limits.ASE_LAYERS.check(len(self._layers) + 1)
        limits.ASE_LEVELS.check(level)
        if level > len(self._levels):
            raise damaged(f"layer {len(self._layers)} lies in a group that is not there")
        del self._levels[level:]
        parent = self._levels[-1] if self._levels else -1
        if parent >= 0 and not self._layers[parent].is_group:
            raise damaged(f"layer {len(self._layers)} lies in a layer that is no group")
        if kind not in (0, GROUP, TILEMAP):
            raise unsupported(f"layer '{name}' of kind {kind}")
        if mode >= len(Mode):
            raise unsupported(f"layer '{name}' with blend mode {mode}")
        has_opacity = self._flags & (HAS_GROUPS if kind == GROUP else HAS_OPACITY)
        self._levels.append(len(self._layers))
        self._layers.append(
            Layer(
                name,
                parent,
                Mode(mode),
                opacity if has_opacity else 255,
                kind == GROUP,
                bool(flags & VISIBLE) and (parent < 0 or self._layers[parent].is_visible),
                bool(flags & BACKGROUND),
                bool(flags & REFERENCE),
                chunk.numbers("I")[0] if kind == TILEMAP else -1,
            )
        )

    def _check_cels(self, frames: list[Frame]) -> None:
        """Raise AseError for cels of a layer that has none, and of more pixels than a limit."""
        for number, frame in enumerate(frames):
            for index, cel in frame.cels.items():
                if index >= len(self._layers) or self._layers[index].is_group:
                    raise damaged(f"frame {number} has a picture for layer {index}, which is none")
                limits.SHEET_PIXELS.check(cel.size[0] * cel.size[1], found=f"{cel.size[0]}x{cel.size[1]}")


def _settle_links(frames: list[Frame]) -> None:
    """Let each link lead straight to a frame with a picture of its own, in time linear in the links."""
    for number, frame in enumerate(frames):
        for layer in frame.cels:
            way: dict[int, None] = {}
            end = number
            while (target := frames[end].cels[layer].linked_frame) >= 0:
                way[end] = None
                if target in way or target >= len(frames) or layer not in frames[target].cels:
                    raise damaged(f"frame {number} links layer {layer} to frame {target}, which has no such picture")
                end = target
            for place in way:
                frames[place].cels[layer] = dataclasses.replace(frames[place].cels[layer], linked_frame=end)
