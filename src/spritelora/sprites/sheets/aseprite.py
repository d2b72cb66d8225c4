"""The JSON that Aseprite, TexturePacker and Phaser write for sheets: as array, as hash, and of several sheets at once.

Source: the files that Aseprite's "Export Sprite Sheet" writes; a frame may be trimmed, and by other programs turned.
Names in it are a stranger's: they become words and slugs, never paths.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, cast

from spritelora.files import JsonObject
from spritelora.sprites.sheets.frame_tags import FrameTag
from spritelora.sprites.sheets.sheet_data import SheetData, SheetFrame, make_sheet, whole_number


def parse_json(text: str) -> list[SheetData]:
    """The sheets that a JSON text describes, none where it is of another kind. Raises ValueError for bad ones."""
    try:
        content: object = json.loads(text, object_pairs_hook=_without_twins)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(content, dict):
        return []
    data = cast(JsonObject, content)
    if isinstance(data.get("textures"), list):
        return [_parse(texture, texture) for texture in _textures(data["textures"])]
    if "frames" in data and ("meta" in data or _are_frames(data["frames"])):
        return [_parse(data, _mapping(data.get("meta", {}), "meta"))]
    return []


def has_rectangles(text: str) -> bool:
    """Whether a JSON text of another kind seems to place things on a picture: by x, y, width and height."""
    try:
        waiting: list[object] = [json.loads(text)]
    except (ValueError, RecursionError):
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            entries = cast(JsonObject, value)
            if (
                {"x", "y"} <= entries.keys()
                and (entries.keys() & {"w", "width"})
                and (entries.keys() & {"h", "height"})
            ):
                return True
            waiting += entries.values()
        elif isinstance(value, list):
            waiting += cast(list[object], value)
    return False


def _textures(content: list[Any]) -> list[Mapping[str, Any]]:
    """The sheets of a multi-pack; what is called so in other files has no frames."""
    textures = [cast(JsonObject, item) for item in content if isinstance(item, dict)]
    return [texture for texture in textures if "frames" in texture]


def _are_frames(content: object) -> bool:
    """Whether the frames of a file without `meta` are those of a sheet."""
    values = [*cast(JsonObject, content).values()] if isinstance(content, dict) else content
    if not isinstance(values, list) or not values or not isinstance(values[0], dict):
        return False
    return isinstance(cast(JsonObject, values[0]).get("frame"), dict)


def _without_twins(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        twin, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"has {twin!r} twice and one would be lost; export the data as Array")
    return found


def _parse(content: Mapping[str, Any], meta: Mapping[str, Any]) -> SheetData:
    frames = list(_frames(content["frames"]))
    tags = [_tag(_mapping(t, "a tag")) for t in _list(meta.get("frameTags", []), "meta.frameTags")]
    image, size = meta.get("image"), meta.get("size")
    return make_sheet(
        frames,
        tags,
        image if isinstance(image, str) else None,
        None if size is None else _pair(_mapping(size, "meta.size"), ("w", "h"), "meta.size", 1),
    )


def _frames(content: object) -> Iterator[SheetFrame]:
    if isinstance(content, dict):
        for name, frame in cast(JsonObject, content).items():
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
    return SheetFrame(name, (x + inner, y + inner), shown, content.get("rotated") is True, offset, canvas)


def _tag(content: Mapping[str, Any]) -> FrameTag:
    name = content.get("name")
    if not isinstance(name, str):
        raise ValueError("a tag has no name")
    first, last = _pair(content, ("from", "to"), f"tag {name!r}", 0)
    if last < first:
        raise ValueError(f"tag {name!r} covers frames {first} to {last}, and ends before it begins")
    return FrameTag(name, first, last)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return cast(JsonObject, value)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is no JSON list")
    return cast(list[Any], value)


def _pair(content: Mapping[str, Any], names: tuple[str, str], where: str, least: int) -> tuple[int, int]:
    first, second = (whole_number(content.get(name), f"{where}: {name}", least) for name in names)
    return first, second
