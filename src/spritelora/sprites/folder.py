"""A folder of sprites with side-car captions, checked whole before anything is made of it."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import DatasetError
from spritelora.sprites.image import (
    Pixels,
    apply_matte,
    check_fits,
    fit_square,
    read_sprite,
    visible_colours,
    without_hidden_colour,
)
from spritelora.sprites.matte import choose_matte, unite_colours

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
MAX_LISTED = 10


@dataclass(frozen=True)
class CaptionedSprite:
    """An image file, its caption and what was learned when the file was checked.

    `name`: path below the data set's folder. `sha256`: of the file's bytes. `colours`: visible ones, packed.
    """

    file: Path
    name: str
    caption: str
    sha256: str
    colours: NDArray[np.uint32]


def read_folder(folder: Path, side_px: int) -> list[CaptionedSprite]:
    """All sprites below `folder` with their captions, sorted by name, each decoded once and found to fit.

    Raises DatasetError that names every bad file and the remedy.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; data.path names a folder of images with .txt captions")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not _is_hidden(p, folder))
    if not files:
        kinds = " ".join(sorted(s[1:] for s in IMAGE_SUFFIXES))
        raise DatasetError(f"{folder}: no images found ({kinds}); data.path names the folder that holds them")
    _refuse(folder, [*_stem_problems(files, folder), *_caption_problems(files, folder)])
    sprites: list[CaptionedSprite] = []
    problems: list[str] = []
    for file in files:
        try:
            sprites.append(_read_one(file, folder, side_px))
        except DatasetError as error:
            problems.append(str(error))
    _refuse(folder, problems)
    return sprites


def set_matte(sprites: list[CaptionedSprite]) -> tuple[int, int, int]:
    """One matte for the whole set, a colour of none of its sprites."""
    return choose_matte(unite_colours(s.colours for s in sprites))


def training_image(sprite: CaptionedSprite, side_px: int, matte: tuple[int, int, int]) -> Pixels:
    """The sprite as training sees it: on its matte, enlarged by a whole factor, padded. (side_px, side_px, 3)."""
    return fit_square(apply_matte(read_sprite(sprite.file), matte), side_px, matte)


def data_hash(sprites: list[CaptionedSprite]) -> str:
    """A fingerprint of names, image bytes and captions."""
    digest = hashlib.sha256()
    for sprite in sprites:
        digest.update(f"{sprite.name}\0{sprite.sha256}\0{sprite.caption}\0".encode())
    return digest.hexdigest()


def _read_one(file: Path, folder: Path, side_px: int) -> CaptionedSprite:
    pixels = read_sprite(file)
    try:
        check_fits(without_hidden_colour(pixels), side_px)
    except ValueError as error:
        raise DatasetError(
            f"{file}: {error}; sprites are never shrunk by fractions: "
            f"raise model.resolution, cut the image up, or bring it to its native size"
        ) from error
    return CaptionedSprite(
        file=file,
        name=file.relative_to(folder).as_posix(),
        caption=_read_caption(file),
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        colours=visible_colours(pixels),
    )


def _read_caption(image: Path) -> str:
    return " ".join(image.with_suffix(".txt").read_text(encoding="utf-8-sig").split())


def _stem_problems(files: list[Path], folder: Path) -> list[str]:
    counts = Counter(f.with_suffix("") for f in files)
    return [
        f"{stem.relative_to(folder)}: {n} images of this name would share one caption; rename all but one"
        for stem, n in counts.items()
        if n > 1
    ]


def _caption_problems(files: list[Path], folder: Path) -> list[str]:
    problems: list[str] = []
    for file in files:
        caption = file.with_suffix(".txt")
        name = caption.relative_to(folder)
        try:
            if not _read_caption(file):
                problems.append(f"{name}: empty caption; write what the sprite shows, such as: pixel art, red potion")
        except FileNotFoundError:
            problems.append(f"{name}: missing; write one line that says what {file.name} shows")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{name}: cannot be read as UTF-8 text ({error})")
    return problems


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        more = [f"... and {len(problems) - MAX_LISTED} more"] if len(problems) > MAX_LISTED else []
        listed = "\n  ".join([*problems[:MAX_LISTED], *more])
        raise DatasetError(f"{folder}: {len(problems)} problem(s) found, nothing was written\n  {listed}")
