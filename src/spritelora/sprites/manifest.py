"""The record of a prepared folder: one JSON object a sprite, which is enough to have the native sprite back."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spritelora.errors import DatasetError
from spritelora.sprites.fit import Fit

MANIFEST = "manifest.jsonl"
METADATA = "metadata.jsonl"


@dataclass(frozen=True)
class PreparedSprite:
    """A prepared image and where it comes from; sizes, factors and offsets in pixels, x before y.

    `file`: path below the prepared folder. `source`: path below the original folder; `tag` tells sprites of one
    source apart. `source_scale`: original pixels to a sprite pixel. `factor`: prepared pixels to a sprite pixel, a
    pair where the axes differ. `offset`: of the sprite on its canvas. `sha256`: of the prepared file. `num_colors`:
    of the visible native sprite. `mask`: its alpha on the canvas, None where all is opaque. `caption_from`: source,
    name, or edited (changed in the prepared folder by someone else), empty without a caption. `findings`: kinds.
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

    @property
    def fit(self) -> Fit:
        """Where the native sprite lies on the canvas."""
        factors = self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)
        return Fit(factors, self.offset, self.canvas)


def one_or_pair(pair: tuple[int, int]) -> int | tuple[int, int]:
    """A number for both axes where they agree."""
    return pair[0] if pair[0] == pair[1] else pair


def encode_lines(objects: list[dict[str, Any]]) -> bytes:
    """JSON lines in UTF-8; bytes of a file name that are no text are written as JSON escapes."""
    return "".join(json.dumps(o, ensure_ascii=False) + "\n" for o in objects).encode("utf-8", "backslashreplace")


def encode_manifest(sprites: list[PreparedSprite]) -> bytes:
    """The bytes of `manifest.jsonl`."""
    return encode_lines([dataclasses.asdict(s) for s in sprites])


def encode_metadata(sprites: list[PreparedSprite]) -> bytes:
    """The bytes of `metadata.jsonl`, by which diffusers' imagefolder pairs images with text."""
    return encode_lines([{"file_name": s.file, "text": s.caption or ""} for s in sprites])


def read_manifest(folder: Path) -> dict[str, PreparedSprite]:
    """The sprites of a prepared folder by file; none where it has no manifest.

    Raises DatasetError for a manifest that is not one of ours.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        sprites = [_decode(json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"{file}: not a manifest that prepare wrote ({type(error).__name__}: {error}); remove or rename it"
        ) from error
    return {sprite.file: sprite for sprite in sprites}


def _decode(fields: dict[str, Any]) -> PreparedSprite:
    """A record of the manifest; fields of later versions are left out, missing ones raise TypeError."""
    known = {f.name for f in dataclasses.fields(PreparedSprite)}
    sprite = PreparedSprite(**{name: _tupled(value) for name, value in fields.items() if name in known})
    if min(*sprite.fit.factors, *sprite.native_size, *sprite.canvas) < 1 or min(sprite.offset) < 0:
        raise ValueError(f"{sprite.file}: sizes below 1")
    return sprite


def _tupled(value: Any) -> Any:
    return tuple(cast(list[Any], value)) if isinstance(value, list) else value
