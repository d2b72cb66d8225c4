"""The record of a prepared folder: one JSON object a sprite, which is enough to have the native sprite back."""

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.file_names import UNSAFE
from spritelora.files import JsonObject
from spritelora.sprites.captions.sidecars import Row, path_below, read_table
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import parse_colour
from spritelora.sprites.pixels.placement import Fit, Pair

MANIFEST = "manifest.jsonl"
METADATA = "metadata.jsonl"
MAX_TEXT, MAX_PATH = 64 * 1024, 1024
MAX_PIXELS, MAX_SIDE_PX = limits.SPRITE_PIXELS.most, limits.SIDE_PX.most
MAX_LISTED = 10
LINE_ENDS = re.compile(r"[\x7f-\x9f\u2028\u2029]")
"""Characters that end a line for Unicode or a terminal, and that JSON does not escape."""


@dataclass(frozen=True)
class PreparedSprite:
    """A prepared image and where it comes from; sizes, factors and offsets in pixels, x before y.

    `file`: path below the prepared folder. `source`: path below the original folder; `tag` tells sprites of one
    source apart. `source_scale`: original pixels to a sprite pixel. `factor`: prepared pixels to a sprite pixel, a
    pair where the axes differ. `offset`: of the sprite on its canvas. `sha256`: of the prepared file. `num_colors`:
    of the visible native sprite. `mask`: its alpha on the canvas, None where all is opaque. `caption_from`: source,
    name, or edited (changed in the prepared folder by someone else), empty without a caption. `findings`: kinds.
    `mask_sha256`: of the mask; `ground`: the colour that was cut out around the sprite, None where none was; manifests
    of earlier versions lack both.
    """

    file: str
    source: str
    tag: str
    native_size: tuple[int, int]
    source_scale: int | tuple[int, int]
    factor: int | tuple[int, int]
    offset: tuple[int, int]
    canvas: tuple[int, int]
    matte: str
    sha256: str
    source_sha256: str
    num_colors: int
    mask: str | None
    caption: str | None
    caption_from: str
    repeats: int
    group: str
    findings: tuple[str, ...]
    mask_sha256: str | None = None
    ground: str | None = None

    @property
    def fit(self) -> Fit:
        """Where the native sprite lies on the canvas."""
        factors = self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)
        return Fit(factors, self.offset, self.canvas)


def one_or_pair(pair: tuple[int, int]) -> int | tuple[int, int]:
    """A number for both axes where they agree."""
    return pair[0] if pair[0] == pair[1] else pair


def encode_lines(objects: list[JsonObject]) -> bytes:
    """JSON lines in UTF-8; bytes of a file name that are no text are written as JSON escapes.

    So are the characters besides a line feed that some readers end a line at.
    """
    lines = (LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", json.dumps(o, ensure_ascii=False)) for o in objects)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def encode_manifest(sprites: list[PreparedSprite]) -> bytes:
    """The bytes of `manifest.jsonl`."""
    return encode_lines([dataclasses.asdict(s) for s in sprites])


def encode_metadata(sprites: list[PreparedSprite]) -> bytes:
    """The bytes of `metadata.jsonl`, by which diffusers' imagefolder pairs images with text."""
    return encode_lines([{"file_name": s.file, "text": s.caption or ""} for s in sprites])


def read_manifest(file: Path) -> list[PreparedSprite]:
    """The lines of a manifest, each checked whole: a stranger may have written it.

    Fields of later versions are left out. Raises DatasetError that names every line which is not one of ours.
    """
    rows, unread = read_table(file, file.name)
    problems = [problem.message for problem in unread]
    sprites: dict[str, PreparedSprite] = {}
    for number, row in rows:
        try:
            sprite = _decode(row)
            if sprites.setdefault(sprite.file, sprite) != sprite:
                raise ValueError(f"describes {printable(sprite.file)} a second time")
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = [f"... and {len(problems) - MAX_LISTED} more"] if len(problems) > MAX_LISTED else []
        raise DatasetError(
            f"{printable(file)}: not a manifest that prepare wrote; prepare the set again, or remove or rename it\n  "
            + "\n  ".join([*problems[:MAX_LISTED], *more])
        )
    return list(sprites.values())


def _decode(row: Row) -> PreparedSprite:
    """A line of the manifest. Raises ValueError that names the field."""
    values: JsonObject = {}
    for name, read in FIELDS.items():
        if name not in row:
            if name in MAY_BE_MISSING:
                continue
            raise ValueError(f'has no "{name}"')
        try:
            values[name] = read(row[name])
        except ValueError as error:
            raise ValueError(f'"{name}" {error}') from error
    sprite = PreparedSprite(**values)
    fit, size = sprite.fit, sprite.native_size
    if any(o + n * f > c for o, n, f, c in zip(fit.offset, size, fit.factors, fit.canvas, strict=True)):
        raise ValueError('"canvas" is smaller than the sprite that "native_size", "factor" and "offset" lay on it')
    if fit.canvas[0] * fit.canvas[1] > MAX_PIXELS:
        raise ValueError(f'"canvas" has over {MAX_PIXELS:,} pixels')
    return sprite


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError("is no text")
    return value


def _hash(value: object) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", _text(value)):
        raise ValueError("is no SHA-256 in 64 digits")
    return str(value)


def _colour(value: object) -> str:
    try:
        parse_colour(_text(value))
    except ValueError as error:
        raise ValueError("is no colour written #rrggbb") from error
    return str(value)


def _place(value: object) -> str:
    """The path of a file below the manifest's folder, of a name that prepare writes."""
    if any(UNSAFE.search(part) for part in _text(value).split("/")) or len(str(value)) > MAX_PATH:
        raise ValueError(f"is no name that prepare writes: {printable(value)[:80]}")
    return path_below(PurePosixPath(), value, "file")


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is no whole number from {least} to {most:,}")
        return value

    return read


def _pair(least: int, most: int) -> Callable[[object], Pair]:
    whole = _whole(least, most)

    def read(value: object) -> Pair:
        if not isinstance(value, list) or len(cast(list[object], value)) != 2:
            raise ValueError("is no pair of numbers")
        across, down = cast(list[object], value)
        return whole(across), whole(down)

    return read


def _one_or_pair(value: object) -> int | Pair:
    read = _pair(1, MAX_SIDE_PX) if isinstance(value, list) else _whole(1, MAX_SIDE_PX)
    return read(cast(object, value))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("is no list of texts")
    return tuple(_text(item) for item in cast(list[object], value))


def _or_none(read: Callable[[object], str]) -> Callable[[object], str | None]:
    return lambda value: None if value is None else read(value)


FIELDS: dict[str, Callable[[object], Any]] = {
    "file": _place,
    "source": _text,
    "tag": _text,
    "native_size": _pair(1, MAX_SIDE_PX),
    "source_scale": _one_or_pair,
    "factor": _one_or_pair,
    "offset": _pair(0, MAX_SIDE_PX),
    "canvas": _pair(1, MAX_SIDE_PX),
    "matte": _colour,
    "sha256": _hash,
    "source_sha256": _hash,
    "num_colors": _whole(0, MAX_PIXELS),
    "mask": _or_none(_place),
    "caption": _or_none(_text),
    "caption_from": _text,
    "repeats": _whole(1, 1_000_000_000),
    "group": _text,
    "findings": _texts,
    "mask_sha256": _or_none(_hash),
    "ground": _or_none(_colour),
}
"""The reader of each field of `PreparedSprite` from JSON; it raises ValueError for another type."""

MAY_BE_MISSING = {
    field.name for field in dataclasses.fields(PreparedSprite) if field.default is not dataclasses.MISSING
}
