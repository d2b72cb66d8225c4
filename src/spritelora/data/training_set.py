"""The sprites of a run, read and checked before torch is imported, so that a mistake is answered at once."""

import hashlib
import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from spritelora.config.train.data_keys import Balance, DataConfig, Split
from spritelora.data.augment import Augmentation, names_direction
from spritelora.data.data_sets import originals_of, read_regularisation, read_sets, warn_of_shared_captions
from spritelora.data.run_canvases import settle_canvases
from spritelora.data.views import ViewedSprite, view_sprite
from spritelora.embedded.drawn import draw_demo_set
from spritelora.errors import ConfigError
from spritelora.files import write_whole
from spritelora.runs.record import RunData
from spritelora.sprites.backgrounds.originals import AS_THEY_ARE, to_record
from spritelora.sprites.captions.made_captions import tag_orders
from spritelora.sprites.folder.likely_sheets import warn_of_sheets
from spritelora.sprites.folder.same_subject import find_subjects
from spritelora.sprites.folder.sprite_folder import (
    CaptionedSprite,
    data_hash,
    factors_text,
    read_folder,
    set_matte,
    views_hash,
)
from spritelora.sprites.names import printable, some_of
from spritelora.sprites.pixels.image import hex_colour, parse_colour
from spritelora.sprites.pixels.placement import Pair, pair_text
from spritelora.sprites.split import choose_subset, hold_out

log = logging.getLogger(__name__)

SPLIT_SEED = 0
"""The same sprites are held out whatever the run's seed, so that validation losses of runs compare."""
MOST_CANVASES = 6


@dataclass(frozen=True)
class TrainingSet:
    """Sprites to train on, sprites held out (none below ten), and the colour under their transparency.

    `kept`: images that keep the base as it is, one after every `every` sprites; they are no part of the style.
    `side_px`: of a square canvas, the model's resolution. `numbers_apart`: as in `find_subjects`.
    """

    viewed: list[ViewedSprite]
    held_out: list[CaptionedSprite]
    matte: tuple[int, int, int]
    kept: list[ViewedSprite]
    every: int = 1
    side_px: int = 0
    numbers_apart: bool = True

    @property
    def training(self) -> list[CaptionedSprite]:
        """The sprites to train on."""
        return [viewed.sprite for viewed in self.viewed]

    @property
    def regularisation(self) -> list[CaptionedSprite]:
        """The images that keep the base as it is."""
        return [viewed.sprite for viewed in self.kept]

    @property
    def hash(self) -> str:
        """A fingerprint of all images, captions and the split."""
        return data_hash([*self.training, *self.held_out])

    @property
    def factor(self) -> int | None:
        """Image pixels to a sprite pixel, None where the sprites to train on do not share it."""
        factors = {sprite.factor for sprite in self.training}
        factor = factors.pop() if len(factors) == 1 else None
        return factor if isinstance(factor, int) else None

    @property
    def matte_text(self) -> str:
        """The matte as it is typed, `#rrggbb`."""
        return hex_colour(self.matte)

    @property
    def canvases(self) -> dict[Pair, int]:
        """The sprites to train on by their canvas, the most used first; of equals the larger one."""
        counts = Counter(sprite.fit.canvas for sprite in self.training)
        return dict(sorted(counts.items(), key=lambda entry: (entry[1], math.prod(entry[0]), entry[0]), reverse=True))

    @property
    def canvases_line(self) -> str:
        """The canvases with the number of sprites on each, in words."""
        listed = some_of([f"{pair_text(canvas)} ({n})" for canvas, n in self.canvases.items()], MOST_CANVASES)
        kept = len({image.fit.canvas for image in self.regularisation})
        more = f"; regularisation on {kept}" if kept else ""
        return f"canvases: {listed}{more}; each step shows one, in proportion to its sprites"

    @property
    def recorded_canvases(self) -> dict[str, int] | None:
        """The canvases as a run's record has them, None where all sprites lie on the square."""
        is_square = set(self.canvases) == {(self.side_px, self.side_px)}
        return None if is_square else {pair_text(canvas): count for canvas, count in self.canvases.items()}

    @property
    def largest_canvas(self) -> Pair:
        """The canvas with the most pixels, of all images."""
        images = (*self.training, *self.held_out, *self.regularisation)
        return max((image.fit.canvas for image in images), key=lambda canvas: (math.prod(canvas), canvas))

    @property
    def views(self) -> dict[str, str]:
        """Fingerprints of what manifests say of the images, by what those are for; empty where nothing was prepared."""
        parts = {"sprites": [*self.training, *self.held_out], "regularisation": self.regularisation}
        return {name: views for name, part in parts.items() if (views := views_hash(part)) is not None}

    @property
    def grounds(self) -> dict[str, list[str]]:
        """The names of the sprites that lost their background, by its colour."""
        sprites = [*self.training, *self.held_out]
        return to_record({s.name: s.treatment.ground for s in sprites if s.treatment.ground is not None})

    @property
    def is_as_stored(self) -> bool:
        """Whether all that is prepared is shown as its files are: so it was, too, before manifests were read."""
        parts = ([*self.training, *self.held_out], self.regularisation)
        prepared = [any(s.prepared for s in part) for part in parts]
        is_varied = any(len(viewed.views) > 1 for viewed in self.viewed)
        stored = [all(s.is_stored_on(self.matte) for s in part) for part in parts]
        return not (prepared[0] and is_varied) and all(s or not p for s, p in zip(stored, prepared, strict=True))

    @property
    def regularisation_hash(self) -> str:
        """A fingerprint of the images that regularise and their captions."""
        return data_hash(self.regularisation)

    @property
    def subjects_hash(self) -> str | None:
        """A fingerprint of which sprites are shown as one, which decides their order; None where none are."""
        parts = [[sprite.subject or sprite.name for sprite in part] for part in (self.training, self.regularisation)]
        if all(len(set(names)) == len(names) for names in parts):
            return None
        numbers = [{name: number for number, name in enumerate(dict.fromkeys(names))} for names in parts]
        told = [[number[name] for name in names] for number, names in zip(numbers, parts, strict=True)]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    @property
    def masks_hash(self) -> str | None:
        """A fingerprint of the masks, which in a prepared folder are files of their own; None where there are none."""
        views = [view for viewed in (*self.viewed, *self.kept) for view in viewed.views]
        masks = [view.mask.tobytes() for view in views if view.mask is not None]
        return hashlib.sha256(b"".join(masks)).hexdigest() if masks else None


def read_training_set(
    config: DataConfig,
    side_px: int,
    masked: bool = False,
    trained: RunData | None = None,
    model_path: str | None = None,
) -> TrainingSet:
    """Read the sprites that `config` names; the demo set where it names none.

    `masked`: with what they cover. `trained`: what the record of a run that was trained on them says of its data.
    `model_path`: of the base, whose canvases they lie on; None for the embedded one.
    """
    canvases = settle_canvases(config.shapes, side_px, model_path)
    factor = trained.factor if trained and isinstance(trained.factor, int) else None
    is_demo = not config.sets and config.path is None  # its background is one of its four greens
    originals = AS_THEY_ARE if is_demo else originals_of(config, trained)
    if config.sets:
        found = read_sets(config, side_px, factor, originals, canvases)
    else:
        found = read_folder(_folder(config), side_px, factor=factor, originals=originals, canvases=canvases)
    regularisation = read_regularisation(config.regularisation, side_px, canvases)
    if trained is None:
        warn_of_sheets(found)
    sprites = choose_subset(found, config.limit, SPLIT_SEED)
    numbers_apart = trained is None or trained.numbers_apart
    if config.balance is Balance.subject:
        sprites, regularisation = (_with_subjects(part, numbers_apart) for part in (sprites, regularisation))
    matte = _matte(config.matte, sprites, trained)
    groups = [s.group for s in sprites] if config.split is Split.group else None
    training, held_out = hold_out(sprites, config.holdout, SPLIT_SEED, groups)
    log.info(
        "%s: training on %d sprites, testing on %d; one sprite pixel = %s image pixels; background #%02x%02x%02x%s",
        " + ".join(config.sets) or (_folder(config).name if config.path else "demo set"),
        len(training),
        len(held_out),
        factors_text(sprites),
        *matte,
        ", as prepared" if all(s.is_stored_on(matte) for s in sprites) else "",
    )
    augment = config.augment
    augmentation = Augmentation(augment.flip, augment.shift, augment.turn, augment.variants)
    viewed = [view_sprite(s, matte, masked, augmentation, _tag_orders(config)) for s in training]
    if augmentation.is_on:
        _tell_of_variants(viewed, augmentation.turn)
    if masked:
        _check_areas(viewed)
    warn_of_shared_captions(training, regularisation)
    if config.shuffle_tags:
        _check_orders(viewed, config)
    kept = [view_sprite(s, matte, masked) for s in regularisation]
    settled = TrainingSet(viewed, held_out, matte, kept, config.regularisation.every, side_px, numbers_apart)
    if any(s.fit.canvas != (side_px, side_px) for s in (*sprites, *regularisation)):
        log.info("%s", settled.canvases_line)
    return settled


def _with_subjects(sprites: Sequence[CaptionedSprite], numbers_apart: bool) -> list[CaptionedSprite]:
    return [replace(s, subject=name) for s, name in zip(sprites, find_subjects(sprites, numbers_apart), strict=True)]


def folders_of(config: DataConfig) -> list[Path]:
    """The folders that the sprites of a run come from; the demo set's where it names none."""
    return [Path(one.path) for one in config.sets.values()] if config.sets else [_folder(config)]


def _folder(config: DataConfig) -> Path:
    return Path(config.path) if config.path else demo_folder(Path(config.cache))


def demo_folder(cache: Path) -> Path:
    """The demo set as a folder of images and captions, drawn on first use."""
    pairs = draw_demo_set()
    content = hashlib.sha256(b"".join(image.tobytes() + caption.encode() for image, caption in pairs)).hexdigest()
    folder = cache / f"demo-set-{content[:8]}"
    if folder.is_dir():
        return folder
    partial = cache / f".{folder.name}.{os.getpid()}"
    partial.mkdir(parents=True, exist_ok=True)
    for number, (image, caption) in enumerate(pairs):
        image.save(partial / f"{number:03d}.png")
        write_whole(partial / f"{number:03d}.txt", caption + "\n")
    with suppress(OSError):  # another process was first
        partial.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    return folder


def _tag_orders(config: DataConfig) -> Callable[[str], list[str]]:
    if not config.shuffle_tags:
        return lambda caption: [caption]
    return lambda caption: tag_orders(caption, config.keep_tags, config.caption_variants)


def _tell_of_variants(viewed: list[ViewedSprite], turn: bool) -> None:
    num_views = sum(len(v.views) for v in viewed)
    pixels = sum(len(v.views) * math.prod(v.sprite.fit.canvas) for v in viewed)
    # A latent has 4 channels of 1/64 of the pixels, in fp32: a quarter of a byte for each pixel.
    log.info("%d variants of %d sprites, %.2g GB", num_views, len(viewed), pixels / 4e9)
    if turn and (fixed := sum(names_direction(v.sprite.caption) for v in viewed)):
        log.warning("%d sprites are not turned, for their captions name a direction", fixed)


def _check_areas(viewed: list[ViewedSprite]) -> None:
    masks = [v.views[0].mask for v in viewed]
    areas = [float(mask.mean()) for mask in masks if mask is not None]
    if min(areas) == 1:
        raise ConfigError(
            f"objective.masked_loss=true: none of the {len(areas)} sprites to train on has transparency or padding, "
            f"so there is nothing to leave out; give images with transparency, or objective.masked_loss=false"
        )
    log.info("masked loss: sprites cover %.0f %% of their images, %.0f to %.0f %%", *_percent(areas))


def _check_orders(viewed: list[ViewedSprite], config: DataConfig) -> None:
    num_shuffled = sum(len(v.views[0].captions) > 1 for v in viewed)
    if not num_shuffled:
        raise ConfigError(
            f"data.shuffle_tags=true: no caption has two different phrases between commas after the first "
            f"{config.keep_tags} (data.keep_tags), such as '{viewed[0].sprite.caption[:60]}'; leave it out, or put "
            f"commas into the captions"
        )
    log.info("tags in up to %d orders in %d of %d captions", config.caption_variants, num_shuffled, len(viewed))


def _percent(shares: list[float]) -> tuple[float, float, float]:
    return 100 * sum(shares) / len(shares), 100 * min(shares), 100 * max(shares)


def _matte(asked: str, sprites: list[CaptionedSprite], trained: RunData | None) -> tuple[int, int, int]:
    """The matte of a run's record where it knew of what is prepared; else as asked, as prepared, or a free colour."""
    is_prepared = any(sprite.prepared for sprite in sprites)
    if trained is not None and ("sprites" in trained.views or not is_prepared):
        return parse_colour(trained.matte)
    try:
        matte = set_matte(sprites) if asked == "auto" else parse_colour(asked)
    except ValueError as error:
        raise ConfigError(f"data.matte: {error}, or auto") from error
    moved = [s for s in sprites if s.prepared and s.prepared.matte != matte]
    if moved:
        log.info("%d prepared sprites (%s) are laid on another matte", len(moved), printable(moved[0].name))
    return matte
