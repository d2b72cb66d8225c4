"""The settings of `prepare` as the values that its parts take, with every mistake in them answered."""

import re
from dataclasses import dataclass
from pathlib import Path

from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import ConfigError, DatasetError
from spritelora.files import is_within
from spritelora.sprites.backgrounds.candidate import parse_cutting
from spritelora.sprites.backgrounds.treatment import HalfTransparent
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.pixels.image import parse_colour
from spritelora.sprites.prepare.include import parse_include
from spritelora.sprites.prepare.intake import SheetChoice
from spritelora.sprites.prepare.plan import FitOptions, Pair3
from spritelora.sprites.prepare.survey import Reading


@dataclass(frozen=True)
class Settings:
    """The settings for reading and fitting images, and the matte asked for, None to choose one."""

    reading: Reading
    fit: FitOptions
    matte: Pair3 | None


def reading_of(config: PrepareConfig) -> Reading:
    """The settings for reading image files. Raises ConfigError."""
    scale = None if config.scale == "auto" else _whole("scale", config.scale, "auto")
    try:
        cutting = parse_cutting(config.cut_background, config.cut_holes)
    except ValueError as error:
        raise ConfigError(f"cut_background: {error}") from error
    return Reading(config.all_frames, scale, cutting, HalfTransparent(config.half_transparent))


def sheets_of(config: PrepareConfig) -> SheetChoice:
    """The wishes for sheets, as typed. Raises ConfigError."""
    is_cell = config.sheet not in ("auto", "gaps", "none")
    if (config.margin or config.spacing) and not is_cell:
        raise ConfigError("margin and spacing belong to sprite sheets: add their cells, such as sheet=32x32")
    layout = SheetLayout(None) if config.sheet == "gaps" else None
    if is_cell:
        layout = SheetLayout(_cell(config.sheet), config.margin, config.spacing)
    return SheetChoice(config.sheet != "none", layout, tuple(parse_include(config.include)), tuple(config.exclude))


def fit_options_of(config: PrepareConfig) -> FitOptions:
    """The settings for fitting sprites. Raises ConfigError."""
    is_whole = config.factor not in ("auto", "each")
    factor = _whole("factor", config.factor, "auto or each") if is_whole else None
    if not config.pad and (config.factor != "auto" or config.tile):
        raise ConfigError("pad=false takes the largest factors of each sprite: leave out factor and tile, or pad=false")
    return FitOptions(config.resolution, factor, config.factor == "each", config.pad, config.buckets, config.tile)


def matte_of(config: PrepareConfig) -> Pair3 | None:
    """The matte asked for, None to choose one. Raises ConfigError."""
    try:
        return None if config.matte == "auto" else parse_colour(config.matte)
    except ValueError as error:
        raise ConfigError(f"matte: {error}, or auto") from error


def folders_of(config: PrepareConfig) -> tuple[Path, Path | None]:
    """The folder to read and the one to write, which must lie apart. Raises ConfigError and DatasetError."""
    source = Path(config.input)
    if not source.is_dir():
        raise DatasetError(f"{source}: no such folder; input names a folder of images")
    if config.output is None:
        if config.validate_only:
            return source, None
        raise ConfigError("'output' has no value: add output=FOLDER, or validate_only=true to write nothing")
    output = Path(config.output)
    if is_within(source, output) or is_within(output, source):
        raise ConfigError(f"output={output} and input={source} lie in one another: originals stay apart, name another")
    if output.exists() and not output.is_dir():
        raise DatasetError(f"{output}: a file, not a folder; give another output")
    return source, output


def _whole(name: str, text: str, words: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise ConfigError(f"{name} is a whole number from 1 on, or {words}; got '{text}'")
    return int(text)


def _cell(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise ConfigError(f"sheet is a cell's width and height, as in 32x32, or auto, gaps or none; got '{text}'")
    return int(match[1]), int(match[2])
