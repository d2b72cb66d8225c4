"""Palettes from files: GIMP's .gpl, .hex lists, JASC's .pal, and the colours of a .png."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.sprites.captions.sidecars import read_text
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import read_sprite

Colours = NDArray[np.uint8]
"""Distinct colours, (K, 3)."""


def read_palette(file: Path) -> Colours:
    """The distinct colours of a palette file, in its order, (K, 3).

    Raises DatasetError that names the file for what is missing, malformed, empty, or over 256 colours.
    """
    kind = file.suffix.lower()
    if kind not in READERS and kind != ".png":
        raise DatasetError(f"{printable(file)}: a palette is a .gpl, .hex, .pal (JASC) or .png file")
    if not file.is_file():
        raise DatasetError(f"{printable(file)}: no such palette file; give a .gpl, .hex, .pal or .png file that exists")
    try:
        found = (
            _image_colours(file)
            if kind == ".png"
            else READERS[kind](read_text(file, limits.PALETTE_BYTES).splitlines())
        )
        distinct = list(dict.fromkeys(found))
        if not distinct:
            raise ValueError("holds no colour; choose another palette")
        limits.PALETTE_COLOURS.check(len(distinct))
    except ValueError as error:
        raise DatasetError(f"{printable(file)}: {printable(error)}") from error
    return np.array(distinct, dtype=np.uint8)


Colour = tuple[int, int, int]


def _read_gpl(lines: list[str]) -> list[Colour]:
    """Source: GIMP's developer documentation, "GPL palette format"; `Channels: RGBA` is Aseprite's addition."""
    if not lines or lines[0].strip() != "GIMP Palette":
        raise ValueError("does not begin with the line 'GIMP Palette'; export it again as .gpl")
    num_channels, colours = 3, list[Colour]()
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := re.match(r"(Name|Columns|Channels):(.*)", line):
            num_channels = 4 if match[1] == "Channels" and match[2].strip() == "RGBA" else num_channels
            continue
        colours += _colour_of(line.split()[:num_channels], number, num_channels)
    return colours


def _read_hex(lines: list[str]) -> list[Colour]:
    """One `rrggbb` a line, as Lospec writes them, with or without `#`."""
    colours: list[Colour] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("#")
        if not text:
            continue
        if not re.fullmatch(r"[0-9a-fA-F]{6}", text):
            raise ValueError(f"line {number} is '{line.strip()[:40]}', not a colour written rrggbb; correct it")
        colours.append((int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)))
    return colours


def _read_jasc(lines: list[str]) -> list[Colour]:
    """Source: Paint Shop Pro's palette: `JASC-PAL`, `0100`, the number of colours, then one a line."""
    if [line.strip() for line in lines[:2]] != ["JASC-PAL", "0100"]:
        raise ValueError("does not begin with 'JASC-PAL' and '0100'; save it as a JASC palette")
    rows = [(number, line.split()) for number, line in enumerate(lines[3:], start=4) if line.strip()]
    told = lines[2].strip() if len(lines) > 2 else ""
    if told != str(len(rows)):
        raise ValueError(f"says '{told}' colours and has {len(rows)}; it is cut off or was edited: export it again")
    return [colour for number, row in rows for colour in _colour_of(row, number, 4 if len(row) == 4 else 3)]


def _colour_of(words: list[str], number: int, num_channels: int) -> list[Colour]:
    """The colour of a line; none where it is wholly transparent."""
    values = [int(w) for w in words if re.fullmatch(r"[0-9]{1,3}", w)]
    if len(values) != num_channels or len(words) != num_channels or max(values) > 255:
        raise ValueError(f"line {number} does not begin with {num_channels} numbers from 0 to 255; correct it")
    if num_channels == 4 and values[3] not in (0, 255):
        raise ValueError(f"line {number} is a half-transparent colour, which sprites here have none of; remove it")
    red, green, blue = values[:3]
    return [(red, green, blue)] if num_channels == 3 or values[3] else []


def _image_colours(file: Path) -> list[Colour]:
    pixels = read_sprite(file)
    visible = pixels[pixels[..., 3] > 0][:, :3]
    colours, first = np.unique(visible, axis=0, return_index=True)
    return [(int(r), int(g), int(b)) for r, g, b in colours[np.argsort(first)]]


READERS: dict[str, Callable[[list[str]], list[Colour]]] = {".gpl": _read_gpl, ".hex": _read_hex, ".pal": _read_jasc}
