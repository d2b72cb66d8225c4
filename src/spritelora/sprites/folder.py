"""A folder of sprites with side-car captions, checked whole before anything is made of it."""

import dataclasses
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import DatasetError
from spritelora.sprites.fit import canvas_shapes, draw_on_canvas, fit_sprite, uniform_factor
from spritelora.sprites.image import (
    Pixels,
    apply_matte,
    read_sprite,
    shrink_to_fit,
    visible_colours,
    without_hidden_colour,
)
from spritelora.sprites.matte import choose_matte, unite_colours
from spritelora.sprites.names import printable
from spritelora.sprites.sources import IMAGE_SUFFIXES, MAX_LISTED, Source, as_line, refuse, refuse_empty, survey_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionedSprite:
    """An image file, its caption and what was learned when the file was checked.

    `name`: path below the data set's folder. `sha256`: of the file's bytes. `colours`: visible ones, packed.
    `repeats`: how often a pass over the set shows it. `group`: what belongs together in a split. `factor`: by which all
    sprites of the set are enlarged. `weight`: factor of its loss.
    """

    file: Path
    name: str
    caption: str
    sha256: str
    colours: NDArray[np.uint32]
    repeats: int = 1
    group: str = ""
    factor: int = 1
    weight: float = 1.0


def read_folder(folder: Path, side_px: int, key: str = "data.path") -> list[CaptionedSprite]:
    """All sprites below `folder` with their captions, sorted by name, each decoded once and found to fit.

    `key`: that named the folder. Raises DatasetError that names every bad file and the remedy.
    """
    if not folder.is_dir():
        raise DatasetError(f"{printable(folder)}: no such folder; {key} names a folder of images with .txt captions")
    found = survey_folder(folder)
    kinds = " ".join(sorted(s[1:] for s in IMAGE_SUFFIXES))
    refuse_empty(folder, found, f" ({kinds}); {key} names the folder that holds them")
    refuse(folder, [*(as_line(p) for p in found.errors), *_caption_problems(found.sources)])
    sprites: list[CaptionedSprite] = []
    sizes: list[tuple[int, int]] = []
    problems: list[str] = []
    for source in found.sources:
        try:
            sprite, size = _read_one(source, side_px)
            sprites.append(sprite)
            sizes.append(size)
        except DatasetError as error:
            problems.append(str(error))
    refuse(folder, problems)
    _warn(folder, [as_line(p) for p in found.problems])
    factor = uniform_factor(sizes, canvas_shapes(side_px, buckets=False))
    return [dataclasses.replace(sprite, factor=factor) for sprite in sprites]


def set_matte(sprites: list[CaptionedSprite]) -> tuple[int, int, int]:
    """One matte for the whole set, a colour of none of its sprites."""
    return choose_matte(unite_colours(s.colours for s in sprites))


def training_image(sprite: CaptionedSprite, side_px: int, matte: tuple[int, int, int]) -> Pixels:
    """The sprite as training sees it: on its matte, enlarged by the set's factor, padded. (side_px, side_px, 3)."""
    native = apply_matte(shrink_to_fit(without_hidden_colour(read_sprite(sprite.file)), side_px), matte)
    size = native.shape[1], native.shape[0]
    return draw_on_canvas(native, fit_sprite(size, sprite.factor, canvas_shapes(side_px, buckets=False)), matte)


def data_hash(sprites: list[CaptionedSprite]) -> str:
    """A fingerprint of names, image bytes and captions."""
    digest = hashlib.sha256()
    for sprite in sprites:
        digest.update(f"{sprite.name}\0{sprite.sha256}\0{sprite.caption}\0".encode())
    return digest.hexdigest()


def _read_one(source: Source, side_px: int) -> tuple[CaptionedSprite, tuple[int, int]]:
    """The sprite, its factor still open, and its width and height as they will be enlarged."""
    pixels = read_sprite(source.file)
    try:
        native = shrink_to_fit(without_hidden_colour(pixels), side_px)
    except ValueError as error:
        raise DatasetError(
            f"{printable(source.file)}: {error}; sprites are never shrunk by fractions: "
            f"raise model.resolution, cut the image up, or bring it to its native size"
        ) from error
    sprite = CaptionedSprite(
        file=source.file,
        name=source.name,
        caption=source.caption or "",
        sha256=hashlib.sha256(source.file.read_bytes()).hexdigest(),
        colours=visible_colours(pixels),
        repeats=source.repeats,
        group=source.group,
    )
    return sprite, (native.shape[1], native.shape[0])


def _caption_problems(sources: list[Source]) -> list[str]:
    problems: list[str] = []
    for source in sources:
        image = PurePosixPath(source.name)
        caption = printable(image.with_suffix(".txt"))
        if source.caption is None:
            elsewhere = f" ({printable(source.unread)} names it and is not read)" if source.unread else ""
            problems.append(
                f"{caption}: missing{elsewhere}; write one line that says what {printable(image.name)} shows"
            )
        elif not source.caption:
            problems.append(f"{caption}: empty caption; write what the sprite shows, such as: pixel art, red potion")
    return problems


def _warn(folder: Path, warnings: list[str]) -> None:
    for warning in warnings[:MAX_LISTED]:
        log.warning("%s: %s", printable(folder.name), warning)
    if len(warnings) > MAX_LISTED:
        log.warning("%s: %d warnings in all", printable(folder.name), len(warnings))
