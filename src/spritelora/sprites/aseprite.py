"""Sheets with a data file: the JSON that Aseprite and TexturePacker write, as array and as hash.

Source: the files that Aseprite's "Export Sprite Sheet" writes; a frame may be trimmed, and by other programs turned.
Names in it are a stranger's: they become words and slugs, never paths.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from spritelora.errors import DatasetError
from spritelora.file_names import tell_apart
from spritelora.files import is_within
from spritelora.sprites.image import MAX_PIXELS, MAX_SIDE_PX, Pixels
from spritelora.sprites.names import printable, slug
from spritelora.sprites.sidecars import read_text

MAX_JSON_BYTES = 32 * 1024 * 1024
MAX_SHEET_FRAMES = 65_536
LONGEST_WORDS = 60
SUFFIX = re.compile(r"\.(aseprite|ase|png|gif|webp|bmp|jpe?g|psd)$", re.IGNORECASE)


@dataclass(frozen=True)
class SheetFrame:
    """A frame: its rectangle on the sheet in pixels, and where it lies on its own canvas.

    `size`: of the rectangle, as the frame is seen. `is_turned`: it lies on the sheet turned by 90 degrees clockwise.
    `offset`: x and y of the rectangle on the canvas. `canvas`: width and height.
    """

    name: str
    corner: tuple[int, int]
    size: tuple[int, int]
    is_turned: bool
    offset: tuple[int, int]
    canvas: tuple[int, int]


@dataclass(frozen=True)
class FrameTag:
    """A run of frames with a name, from the first to the last."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class SheetData:
    """What a data file says of its sheet. `image`: the sheet's name; `size`: its pixels; None where it says nothing."""

    frames: list[SheetFrame]
    tags: list[FrameTag]
    image: str | None
    size: tuple[int, int] | None


def read_sheet_data(image: Path) -> SheetData | None:
    """The data file of the same stem beside a sheet, None where there is none or it is of another kind.

    Raises DatasetError that names the file for what is not well formed, or leads out of the folder.
    """
    file = image.with_suffix(".json")
    if not file.is_file():
        return None
    if not is_within(file.resolve(), image.parent):
        raise DatasetError(
            f"{printable(file)}: a link that leads out of the folder; copy what it shows into the folder"
        )
    try:
        content = json.loads(read_text(file, MAX_JSON_BYTES), object_pairs_hook=_without_twins)
        return _parse(cast(dict[str, Any], content)) if _is_sheet_data(content) else None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{printable(file)}: {printable(error)}; export it again or remove it") from error


def cut_frames(sheet: Pixels, data: SheetData) -> list[Pixels]:
    """Every frame on its own canvas, RGBA. Raises ValueError where one lies outside the sheet."""
    height, width = sheet.shape[:2]
    if data.size is not None and data.size != (width, height):
        raise ValueError(
            f"describes {printable(data.image or 'a sheet')} of {data.size[0]}x{data.size[1]} px, and this image has "
            f"{width}x{height} px; give it the name of its own sheet, or remove it"
        )
    for frame in data.frames:
        w, h = frame.size[::-1] if frame.is_turned else frame.size
        if frame.corner[0] + w > width or frame.corner[1] + h > height:
            raise ValueError(f"frame {frame.name!r} lies outside the sheet of {width}x{height} px; export it again")
    return [_cut(sheet, frame) for frame in data.frames]


def name_frames(data: SheetData, stem: str) -> list[tuple[str, tuple[str, ...]]]:
    """What tells each frame from the others (`walk_2`), and words for its caption from its tags and its name.

    `stem`: of the sheet's file; words that it has are not said again. A frame in several tags is named by the
    shortest.
    """
    plain_stem = slug(stem)
    tags: list[str] = []
    words: list[tuple[str, ...]] = []
    for index, frame in enumerate(data.frames):
        bare = slug(SUFFIX.sub("", frame.name)).removeprefix(plain_stem).strip("-")
        own = sorted((t for t in data.tags if t.first <= index <= t.last), key=lambda t: (t.last - t.first, t.first))
        named = next((t for t in own if slug(t.name)), None)
        if named is not None:
            tags.append(f"{slug(named.name)}_{index - named.first}")
        else:
            tags.append(str(index) if not bare or bare.isdigit() else bare)
        phrases = {slug(name): _phrase(name) for name in [*(t.name for t in own), bare.rstrip("0123456789-")]}
        words.append(tuple(phrase for known, phrase in phrases.items() if known and known != plain_stem))
    return list(zip(tell_apart(tags), words, strict=True))


def _phrase(name: str) -> str:
    """A name as words of a caption: no separators, no commas, nothing invisible."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in name).split())[:LONGEST_WORDS].rstrip()


def _cut(sheet: Pixels, frame: SheetFrame) -> Pixels:
    x, y = frame.corner
    w, h = frame.size[::-1] if frame.is_turned else frame.size
    part = sheet[y : y + h, x : x + w]
    if frame.is_turned:
        part = np.rot90(part)
    left, top = frame.offset
    canvas = np.zeros((frame.canvas[1], frame.canvas[0], 4), dtype=np.uint8)
    canvas[top : top + frame.size[1], left : left + frame.size[0]] = part
    return canvas


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has {twin!r} twice and one would be lost; export the data as Array")
    return found


def _is_sheet_data(content: object) -> bool:
    return isinstance(content, dict) and "frames" in content and "meta" in content


def _parse(content: dict[str, Any]) -> SheetData:
    meta = _mapping(content["meta"], "meta")
    frames = list(_frames(content["frames"]))
    if not frames:
        raise ValueError("describes no frames")
    if len(frames) > MAX_SHEET_FRAMES or sum(f.canvas[0] * f.canvas[1] for f in frames) > MAX_PIXELS:
        raise ValueError(
            f"{len(frames):,} frames are over {MAX_SHEET_FRAMES:,} in number or {MAX_PIXELS:,} pixels in all"
        )
    tags = [_tag(_mapping(t, "a tag"), len(frames)) for t in _list(meta.get("frameTags", []), "meta.frameTags")]
    image = meta.get("image")
    size = meta.get("size")
    return SheetData(
        frames,
        tags,
        image if isinstance(image, str) else None,
        None if size is None else _pair(_mapping(size, "meta.size"), ("w", "h"), "meta.size", 1),
    )


def _frames(content: object) -> Iterator[SheetFrame]:
    if isinstance(content, dict):
        for name, frame in cast(dict[str, Any], content).items():
            yield _frame(name, _mapping(frame, f"frame {name!r}"))
        return
    for number, item in enumerate(_list(content, "frames")):
        frame = _mapping(item, f"frame {number}")
        name = frame.get("filename", str(number))
        yield _frame(name if isinstance(name, str) else str(number), frame)


def _frame(name: str, content: Mapping[str, Any]) -> SheetFrame:
    """One frame, checked. Aseprite counts inner padding to `frame`, not to `spriteSourceSize`: it is taken off."""
    where = f"frame {name!r}"
    place = _mapping(content.get("frame"), f"{where}: frame")
    x, y = _pair(place, ("x", "y"), where, 0)
    size = _pair(place, ("w", "h"), where, 1)
    source = _mapping(content.get("spriteSourceSize", {"x": 0, "y": 0}), f"{where}: spriteSourceSize")
    offset = _pair(source, ("x", "y"), where, 0)
    shown = _pair(source, ("w", "h"), where, 1) if "w" in source else size
    padding = {(a - b) for a, b in zip(size, shown, strict=True)}
    if len(padding) > 1 or min(padding) < 0 or min(padding) % 2:
        raise ValueError(f"{where} is {size[0]}x{size[1]} px on the sheet and {shown[0]}x{shown[1]} px by itself")
    inner = padding.pop() // 2
    canvas = _pair(_mapping(content.get("sourceSize", {"w": shown[0], "h": shown[1]}), where), ("w", "h"), where, 1)
    if offset[0] + shown[0] > canvas[0] or offset[1] + shown[1] > canvas[1]:
        raise ValueError(f"{where} does not lie within its own size of {canvas[0]}x{canvas[1]} px")
    return SheetFrame(name, (x + inner, y + inner), shown, content.get("rotated") is True, offset, canvas)


def _tag(content: Mapping[str, Any], num_frames: int) -> FrameTag:
    name = content.get("name")
    if not isinstance(name, str):
        raise ValueError("a tag has no name")
    first, last = _pair(content, ("from", "to"), f"tag {name!r}", 0)
    if not first <= last < num_frames:
        raise ValueError(f"tag {name!r} covers frames {first} to {last}, and there are {num_frames}, from 0")
    return FrameTag(name, first, last)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return cast(dict[str, Any], value)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is no JSON list")
    return cast(list[Any], value)


def _pair(content: Mapping[str, Any], names: tuple[str, str], where: str, least: int) -> tuple[int, int]:
    first, second = (_whole(content.get(name), f"{where}: {name}", least) for name in names)
    return first, second


def _whole(value: object, what: str, least: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_SIDE_PX:
        raise ValueError(f"{what} is {str(value)[:40]}, not a whole number from {least} to {MAX_SIDE_PX:,}")
    return value
