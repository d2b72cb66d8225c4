"""The folders that a run's sprites come from besides the one of `data.path`: sets by name, and one that regularises."""

import dataclasses
import logging
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from spritelora.config.train.data_keys import DataConfig, RegularisationConfig, SetConfig
from spritelora.errors import ConfigError, DatasetError
from spritelora.runs.record import RunData
from spritelora.sprites.backgrounds.candidate import parse_cutting
from spritelora.sprites.backgrounds.originals import AS_THEY_ARE, Originals, from_record
from spritelora.sprites.backgrounds.treatment import HalfTransparent
from spritelora.sprites.folder.majority import match_names
from spritelora.sprites.folder.sprite_folder import CaptionedSprite, factors_text, place_sprites, read_folder
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.placement import Canvases, square_canvas

log = logging.getLogger(__name__)

SET_NAME = re.compile(r"[A-Za-z0-9_-]+")


def originals_of(config: DataConfig, trained: RunData | None = None) -> Originals:
    """The treatment of images that prepare did not write, as typed and as a run's record says. Raises ConfigError."""
    try:
        cutting = parse_cutting(config.cut_background, config.cut_holes)
        grounds = from_record(trained.grounds) if trained is not None and cutting.is_on else None
    except ValueError as error:
        raise ConfigError(f"data.cut_background: {error}") from error
    return Originals(cutting, HalfTransparent(config.half_transparent), grounds, config.include)


def read_sets(
    config: DataConfig,
    side_px: int,
    recorded: int | None = None,
    originals: Originals = AS_THEY_ARE,
    canvases: Canvases | None = None,
) -> list[CaptionedSprite]:
    """The sprites of all sets, one set after the other, under names and groups that begin with their set's.

    All are enlarged by one factor, as the sprites of one folder are: by `recorded` where all can have it. `canvases`:
    the square alone where none are given. Raises ConfigError for settings that make no sense, DatasetError that tells
    the problems of every set.
    """
    _check(config)
    canvases = canvases or square_canvas(side_px)
    found: dict[str, list[CaptionedSprite]] = {}
    problems: list[str] = []
    for name, of_set in config.sets.items():
        try:
            path, key, own = Path(of_set.path), f"data.sets.{name}.path", originals.of_set(name)
            found[name] = read_folder(path, side_px, key, originals=own, canvases=canvases)
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        raise DatasetError("\n".join(problems))
    names = [s.name for sprites in found.values() for s in sprites if s.is_placed_anew(canvases)]
    match_names(config.include, names, "data.include")  # what it means is never set aside
    _warn_of_repeats(found)
    rest = iter(place_sprites([s for sprites in found.values() for s in sprites], canvases, recorded))
    placed = {name: list(islice(rest, len(sprites))) for name, sprites in found.items()}
    for name, sprites in found.items():
        of_set, own, factor = config.sets[name], factors_text(sprites), factors_text(placed[name])
        alone = f"; alone they would be enlarged by {own}, beside the others by {factor}" if own != factor else ""
        log.info("set %s: %d sprites x %d, weight %g%s", name, len(sprites), of_set.repeats, of_set.weight, alone)
    return [_of_set(s, name, config.sets[name]) for name, sprites in placed.items() for s in sprites]


def read_regularisation(
    config: RegularisationConfig, side_px: int, canvases: Canvases | None = None
) -> list[CaptionedSprite]:
    """The images that keep the base as it is, enlarged by a factor of their own; none where no folder is named."""
    if config.path is None:
        return []
    sprites = read_folder(Path(config.path), side_px, "data.regularisation.path", canvases=canvases)
    log.info(
        "regularisation: %d images, one after every %d sprites, weight %g", len(sprites), config.every, config.weight
    )
    return [dataclasses.replace(sprite, weight=config.weight) for sprite in sprites]


def warn_of_shared_captions(sprites: Sequence[CaptionedSprite], regularisation: Sequence[CaptionedSprite]) -> None:
    """Say where the same words stand for what is to be learnt and for what is to stay."""
    learnt = {s.caption for s in sprites}
    if shared := [s for s in regularisation if s.caption in learnt]:
        log.warning(
            "%d regularisation images have captions of training sprites (%s: '%s') and pull against them: give them "
            "captions without the words of your style",
            len(shared),
            printable(shared[0].name),
            shared[0].caption[:60],
        )


def _check(config: DataConfig) -> None:
    if config.path is not None:
        raise ConfigError(
            f"data.path={config.path} beside data.sets ({', '.join(config.sets)}): give one of both; to have that "
            f"folder as one more set, type data.sets.NAME.path={config.path}"
        )
    if odd := [name for name in config.sets if not SET_NAME.fullmatch(str(name))]:
        raise ConfigError(f"data.sets: '{odd[0]}' is not a name of letters, digits, _ and -; rename the set")


def _of_set(sprite: CaptionedSprite, name: str, of_set: SetConfig) -> CaptionedSprite:
    return dataclasses.replace(
        sprite,
        name=f"{name}/{sprite.name}",
        group=f"{name}/{sprite.group}",
        repeats=sprite.repeats * of_set.repeats,
        weight=of_set.weight,
    )


def _warn_of_repeats(found: Mapping[str, Sequence[CaptionedSprite]]) -> None:
    sets_of: dict[str, dict[str, str]] = {}
    for name, sprites in found.items():
        for sprite in sprites:
            sets_of.setdefault(sprite.sha256, {})[name] = sprite.name
    if repeated := [places for places in sets_of.values() if len(places) > 1]:
        named = " and ".join(f"{name}/{printable(file)}" for name, file in repeated[0].items())
        log.warning(
            "%d images are in more than one set (%s): held out in one, they are trained on in the other; keep each "
            "in one set and raise its repeats",
            len(repeated),
            named,
        )
