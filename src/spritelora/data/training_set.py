"""The sprites of a run, read and checked before torch is imported, so that a mistake is answered at once."""

import hashlib
import logging
import math
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from spritelora.config.train.data_keys import AugmentConfig, DataConfig, Split
from spritelora.data.augment import Augmentation, Variant, list_variants, names_direction, show_mask, vary_caption
from spritelora.data.data_sets import read_regularisation, read_sets, warn_of_shared_captions
from spritelora.embedded.drawn import draw_demo_set
from spritelora.errors import ConfigError, DatasetError
from spritelora.files import write_whole
from spritelora.runs.record import RunData
from spritelora.sprites.captions.made_captions import tag_orders
from spritelora.sprites.folder.mask import Areas, cell_areas, sprite_alpha
from spritelora.sprites.folder.sprite_folder import (
    CaptionedSprite,
    data_hash,
    factors_text,
    read_folder,
    set_matte,
    training_image,
    views_hash,
)
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import parse_colour
from spritelora.sprites.split import choose_subset, hold_out

log = logging.getLogger(__name__)

SPLIT_SEED = 0
"""The same sprites are held out whatever the run's seed, so that validation losses of runs compare."""


@dataclass(frozen=True)
class TrainingSet:
    """Sprites to train on, sprites held out (none below ten), and the colour under their transparency.

    `variants`: how each sprite to train on is shown, as drawn first. `masks`: what it covers in each of them; empty
    where the loss is not masked. `orders`: its caption there with the phrases in further orders; empty without
    shuffling. `regularisation`: images that keep the base as it is, one after every `every` sprites, and their masks;
    they are no part of the style.
    """

    training: list[CaptionedSprite]
    held_out: list[CaptionedSprite]
    matte: tuple[int, int, int]
    variants: list[list[Variant]]
    masks: list[list[Areas]] = field(default_factory=list[list[Areas]])
    orders: list[list[list[str]]] = field(default_factory=list[list[list[str]]])
    regularisation: list[CaptionedSprite] = field(default_factory=list[CaptionedSprite])
    regularisation_masks: list[list[Areas]] = field(default_factory=list[list[Areas]])
    every: int = 1

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
    def views(self) -> dict[str, str]:
        """Fingerprints of what manifests say of the images, by what those are for; empty where nothing was prepared."""
        parts = {"sprites": [*self.training, *self.held_out], "regularisation": self.regularisation}
        return {name: views for name, part in parts.items() if (views := views_hash(part)) is not None}

    @property
    def is_as_stored(self) -> bool:
        """Whether all that is prepared is shown as its files are: so it was, too, before manifests were read."""
        parts = ([*self.training, *self.held_out], self.regularisation)
        prepared = [any(s.prepared for s in part) for part in parts]
        is_varied = any(shown != [Variant()] for shown in self.variants)
        stored = [all(s.is_stored_on(self.matte) for s in part) for part in parts]
        return not (prepared[0] and is_varied) and all(s or not p for s, p in zip(stored, prepared, strict=True))

    @property
    def regularisation_hash(self) -> str:
        """A fingerprint of the images that regularise and their captions."""
        return data_hash(self.regularisation)

    @property
    def masks_hash(self) -> str:
        """A fingerprint of the masks, which in a prepared folder are files of their own."""
        masks = [*self.masks, *self.regularisation_masks]
        return hashlib.sha256(b"".join(mask.tobytes() for of_sprite in masks for mask in of_sprite)).hexdigest()


def read_training_set(
    config: DataConfig, side_px: int, masked: bool = False, trained: RunData | None = None
) -> TrainingSet:
    """Read the sprites that `config` names; the demo set where it names none.

    `masked`: with what they cover. `trained`: what the record of a run that was trained on them says of its data.
    """
    found = read_sets(config, side_px) if config.sets else read_folder(_folder(config), side_px)
    regularisation = read_regularisation(config.regularisation, side_px)
    sprites = choose_subset(found, config.limit, SPLIT_SEED)
    matte = _matte(config.matte, sprites, trained)
    groups = [s.group for s in sprites] if config.split is Split.group else None
    training, held_out = hold_out(sprites, config.holdout, SPLIT_SEED, groups)
    log.info(
        "%s: %d sprites to train on, %d held out, enlarged by %s, matte #%02x%02x%02x%s",
        " + ".join(config.sets) or (_folder(config).name if config.path else "demo set"),
        len(training),
        len(held_out),
        factors_text(sprites),
        *matte,
        ", as prepared" if all(s.is_stored_on(matte) for s in sprites) else "",
    )
    variants = _variants(config.augment, training, matte)
    masks = _masks(training, variants, matte) if masked else []
    if masks:
        _check_areas(masks)
    warn_of_shared_captions(training, regularisation)
    as_drawn = [[Variant()] for _ in regularisation]
    return TrainingSet(
        training=training,
        held_out=held_out,
        matte=matte,
        variants=variants,
        masks=masks,
        orders=_orders(config, training, variants),
        regularisation=regularisation,
        regularisation_masks=_masks(regularisation, as_drawn, matte) if masked else [],
        every=config.regularisation.every,
    )


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


def _variants(
    config: AugmentConfig, sprites: list[CaptionedSprite], matte: tuple[int, int, int]
) -> list[list[Variant]]:
    augmentation = Augmentation(config.flip, config.shift, config.turn, config.variants)
    if not augmentation.is_on:
        return [[Variant()] for _ in sprites]
    variants = [list_variants(training_image(s, matte), s.caption, matte, augmentation, s.stretched) for s in sprites]
    num_variants, pixels = sum(len(v) for v in variants), math.prod(sprites[0].fit.canvas)
    # A latent has 4 channels of 1/64 of the pixels, in fp32: a quarter of a byte for each pixel.
    log.info("%d variants of %d sprites, %.2g GB", num_variants, len(sprites), num_variants * pixels / 4e9)
    if config.turn and (fixed := sum(names_direction(s.caption) for s in sprites)):
        log.warning("%d sprites are not turned, for their captions name a direction", fixed)
    return variants


def _masks(
    sprites: list[CaptionedSprite], variants: list[list[Variant]], matte: tuple[int, int, int]
) -> list[list[Areas]]:
    masks: list[list[Areas]] = []
    for sprite, shown in zip(sprites, variants, strict=True):
        alpha, image = sprite_alpha(sprite), training_image(sprite, matte)
        if not alpha.any():
            raise DatasetError(
                f"{printable(sprite.file)}: every pixel is transparent, so objective.masked_loss=true leaves nothing "
                f"to learn from; remove it"
            )
        masks.append([cell_areas(show_mask(alpha, image, variant, matte, sprite.stretched)) for variant in shown])
    return masks


def _check_areas(masks: list[list[Areas]]) -> None:
    areas = [float(of_sprite[0].mean()) for of_sprite in masks]
    if min(areas) == 1:
        raise ConfigError(
            f"objective.masked_loss=true: none of the {len(masks)} sprites to train on has transparency or padding, "
            f"so there is nothing to leave out; give images with transparency, or objective.masked_loss=false"
        )
    log.info("masked loss: sprites cover %.0f %% of their images, %.0f to %.0f %%", *_percent(areas))


def _orders(config: DataConfig, sprites: list[CaptionedSprite], variants: list[list[Variant]]) -> list[list[list[str]]]:
    if not config.shuffle_tags:
        return []
    orders = [
        [tag_orders(vary_caption(s.caption, v), config.keep_tags, config.caption_variants)[1:] for v in shown]
        for s, shown in zip(sprites, variants, strict=True)
    ]
    num_shuffled = sum(bool(of_sprite[0]) for of_sprite in orders)
    if not num_shuffled:
        raise ConfigError(
            f"data.shuffle_tags=true: no caption has two different phrases between commas after the first "
            f"{config.keep_tags} (data.keep_tags), such as '{sprites[0].caption[:60]}'; leave it out, or put "
            f"commas into the captions"
        )
    log.info("tags in up to %d orders in %d of %d captions", config.caption_variants, num_shuffled, len(sprites))
    return orders


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
