"""The resolution of a run that follows its sprites: the smallest square of the base that they fit by whole cells."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from spritelora.config.train.data_keys import DataConfig
from spritelora.config.train.schema import TrainConfig
from spritelora.data.run_canvases import canvases_of_base, settle_canvases
from spritelora.data.training_set import folders_of
from spritelora.embedded.location import SDXL_SIDE_PX
from spritelora.errors import ConfigError, DatasetError
from spritelora.runs.record import RunRecord
from spritelora.sprites.folder.majority import find_majority, match_names, sized_sprites
from spritelora.sprites.folder.prepared_canvases import prepared_side
from spritelora.sprites.folder.sources import Found, survey_folder
from spritelora.sprites.pixels.image import LATENT_PX, exact_scale, read_sprite, without_hidden_colour
from spritelora.sprites.pixels.placement import Pair, largest_factor

log = logging.getLogger(__name__)


def settle_resolution(config: TrainConfig) -> TrainConfig:
    """The settings with a number for `model.resolution=auto`: that of the run gone on from, else what the sprites ask.

    That is, of the squares that the base knows, the one that the set was prepared for, else the smallest on which most
    sprites have 8 px to a native pixel, else the largest. A base that lists none was trained at SDXL's 1024 px.
    """
    if isinstance(config.model.resolution, int):
        return config
    side_px = _recorded_side(config) or _side_of_sprites(config.data, config.model.path)
    log.info("model.resolution=auto: %d px", side_px)
    return replace(config, model=replace(config.model, resolution=side_px))


def _recorded_side(config: TrainConfig) -> int | None:
    return None if config.resume is None else RunRecord.read(Path(config.resume)).settings.model.side_px


def _side_of_sprites(data: DataConfig, model_path: str | None) -> int:
    known = canvases_of_base(model_path)
    squares = sorted({width for width, height in known or () if width == height})
    if known is None or not squares:
        return SDXL_SIDE_PX
    if len(squares) == 1:
        return squares[0]
    found: dict[Path, Found] = {}
    with suppress(DatasetError, OSError):  # told where the sprites are read
        found = {folder: survey_folder(folder) for folder in folders_of(data) if folder.is_dir()}
    prepared = {p.record.canvas for of_folder in found.values() for p in of_folder.prepared.values()}
    if prepared and (side_px := prepared_side(sorted(prepared))) in squares:
        return side_px
    sizes = {f"{folder}/{n}": size for folder, each in found.items() for n, size in _native_sizes(each, known)}
    fitting = (side for side in squares if _suits(side, sizes, data, model_path))
    return next(fitting, squares[-1])


def _native_sizes(found: Found, known: Sequence[Pair]) -> Iterator[tuple[str, Pair]]:
    """The images of a folder by name, with their sizes in native pixels; an unreadable one is told where it is used."""
    cells = [(width // LATENT_PX, height // LATENT_PX) for width, height in known]
    for source in found.sources:
        if prepared := found.prepared.get(source.name):
            yield source.name, prepared.record.native_size
            continue
        try:
            image = without_hidden_colour(read_sprite(source.file))
        except DatasetError:
            continue
        height, width = image.shape[:2]
        scale = 1 if largest_factor((width, height), cells) else exact_scale(image)
        yield source.name, (width // scale, height // scale)


def _suits(side_px: int, sizes: Mapping[str, Pair], data: DataConfig, model_path: str | None) -> bool:
    """Tell a square that fits: most sprites have whole latent cells on it, and typed canvases are about its area."""
    try:
        shapes = settle_canvases(data.shapes, side_px, model_path).shapes
    except ConfigError:  # told, of the last one tried, where the sprites are read
        return False
    sprites = sized_sprites([(name, name, size) for name, size in sizes.items()])
    majority = find_majority(sprites, shapes, set(match_names(data.include, sizes, "")))
    return majority.factor >= LATENT_PX
