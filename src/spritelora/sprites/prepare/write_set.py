"""One source file's prepared images, masks and captions, made and written; what a worker process does."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spritelora.errors import DatasetError
from spritelora.sprites.folder.manifest import PreparedSprite, one_or_pair
from spritelora.sprites.folder.prepared import NativeSprite
from spritelora.sprites.pixels.image import hex_colour, visible_colours
from spritelora.sprites.prepare.output_folder import put_file
from spritelora.sprites.prepare.plan import Pair3, Piece, PlannedFile
from spritelora.sprites.prepare.png import encode_image, encode_mask
from spritelora.sprites.prepare.survey import Reading, SurveyedSprite, label, read_natives

MASKS = ".masks"


@dataclass(frozen=True)
class Caption:
    """A caption and who wrote it: source, name or edited. `text` is None where there is none."""

    text: str | None = None
    origin: str = ""


@dataclass(frozen=True)
class WriteJob:
    """The work on one file's images. `captions`: by stem. `findings`: kinds by label."""

    planned: PlannedFile
    reading: Reading
    folder: Path
    matte: Pair3
    captions: Mapping[str, Caption]
    findings: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Written:
    """The records of a file's images, and the SHA-256 of everything written for them by name."""

    sprites: tuple[PreparedSprite, ...]
    files: Mapping[str, str]


def image_name(stem: str) -> str:
    """The prepared image's path below the output."""
    return f"{stem}.png"


def caption_name(stem: str) -> str:
    """The caption's path below the output."""
    return f"{stem}.txt"


def mask_name(stem: str) -> str:
    """The mask's path below the output: hidden, so that no trainer takes it for an image."""
    return f"{MASKS}/{stem}.png"


def write_file(job: WriteJob) -> Written:
    """Make and write all images of a source file. Raises DatasetError where it changed since it was surveyed."""
    surveyed = job.planned.surveyed
    source = surveyed.source
    if hashlib.sha256(source.file.read_bytes()).hexdigest() != surveyed.sha256:
        raise DatasetError(f"{source.file}: changed while it was being prepared; run the same command again")
    sprites: list[PreparedSprite] = []
    files: dict[str, str] = {}
    pieces = iter(job.planned.pieces)
    piece = next(pieces, None)
    for number, native in enumerate(read_natives(source, job.reading, surveyed.sprites)):
        while piece is not None and piece.number == number:
            if sprite := _write_piece(job, piece, native, files):
                sprites.append(sprite)
            piece = next(pieces, None)
    return Written(tuple(sprites), files)


def _write_piece(job: WriteJob, piece: Piece, native: NativeSprite, files: dict[str, str]) -> PreparedSprite | None:
    """Write one image with its mask and caption; a tile with nothing in it is left out."""
    part = _part(native, piece)
    if not part.alpha.any():
        return None
    surveyed = job.planned.surveyed
    sprite = surveyed.sprites[piece.number]
    image = encode_image(part.on_matte(job.matte), piece.fit, job.matte)
    mask = encode_mask(part.alpha, piece.fit)
    caption = job.captions.get(piece.stem, Caption())
    files[image_name(piece.stem)] = sha256 = put_file(job.folder, image_name(piece.stem), image)
    if mask is not None:
        files[mask_name(piece.stem)] = put_file(job.folder, mask_name(piece.stem), mask)
    if caption.text is not None and caption.origin != "edited":
        name = caption_name(piece.stem)
        files[name] = put_file(job.folder, name, f"{caption.text}\n".encode())
    scale = sprite.prepared.record.factor if sprite.prepared else sprite.scale.factor
    return PreparedSprite(
        file=image_name(piece.stem),
        source=surveyed.source.name,
        tag=piece.tag,
        native_size=piece.size,
        source_scale=scale,
        factor=one_or_pair(piece.fit.factors),
        offset=piece.fit.offset,
        canvas=piece.fit.canvas,
        matte=hex_colour(job.matte),
        sha256=sha256,
        source_sha256=surveyed.sha256,
        num_colors=len(visible_colours(part.pixels)),
        mask=mask_name(piece.stem) if mask is not None else None,
        mask_sha256=files.get(mask_name(piece.stem)),
        caption=caption.text,
        caption_from=caption.origin,
        repeats=surveyed.source.repeats,
        group=surveyed.source.group,
        findings=job.findings.get(label(surveyed.source.name, sprite.tag), ()),
        ground=_ground_of(sprite),
    )


def _ground_of(sprite: SurveyedSprite) -> str | None:
    """The colour that was cut out around a sprite, now or when it was prepared before."""
    if sprite.prepared is not None:
        return sprite.prepared.record.ground
    return sprite.treatment.ground and hex_colour(sprite.treatment.ground.colour)


def _part(native: NativeSprite, piece: Piece) -> NativeSprite:
    (x, y), (width, height) = piece.corner, piece.size
    pixels, alpha = (part[y : y + height, x : x + width] for part in (native.pixels, native.alpha))
    return NativeSprite(pixels, alpha, native.matte)
