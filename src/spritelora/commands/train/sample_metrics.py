"""A run's sample images: what they show, and how the last ones measure up, for its summary and a sweep's results."""

import logging
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from spritelora.config.train.schema import TrainConfig
from spritelora.data.encode_set import Encoded
from spritelora.data.training_set import TrainingSet
from spritelora.drawing.subject import drawing_of
from spritelora.evaluation.colour_distance import ColourTarget, pooled, profiles_of
from spritelora.evaluation.colours import Palette, palette_of
from spritelora.evaluation.measure import Reference, measure_image
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.evaluation.registry import COLOUR_DISTANCE
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel, load_vae
from spritelora.sdxl.latents import decode_latents
from spritelora.sprites.folder.sprite_folder import training_image
from spritelora.sprites.split import choose_subset
from spritelora.training.callbacks.contact_sheet import similar_captions
from spritelora.training.callbacks.samples import SamplePlan

log = logging.getLogger(__name__)

NUM_PROMPTS, PROMPT_SEED = 4, 0


@dataclass(frozen=True)
class TrainingColours:
    """The colours of the training sprites: each of them, and how much of each is used."""

    palette: Palette
    target: ColourTarget


def training_colours(sprites: TrainingSet) -> TrainingColours:
    """The colours of the training sprites, as `validate` takes them."""
    natives = native_sprites(sprites)
    return TrainingColours(palette_of(natives), ColourTarget(pooled(profiles_of(natives))[None]))


def measure_samples(folder: Path, sprites: TrainingSet, colours: TrainingColours) -> dict[str, float]:
    """The mean of every metric over the images of a step, those apart that say nothing about any of them.

    `folder`: with the images. Nearness to training sprites is left to `validate`.
    """
    images = []
    for file in sorted(folder.glob("*.png")):
        with Image.open(file) as image:
            images.append(np.asarray(image.convert("RGB")))
    reference, grid = Reference(colours.palette), wanted_grid(sprites)
    measured = [measure_image(image, reference, grid) for image in images]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing but NaN
        means = {name: float(np.nanmean([m.values[name] for m in measured])) for name in measured[0].values}
    means[COLOUR_DISTANCE.name] = colours.target.distance_of(profiles_of([m.native for m in measured]))
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}


def settle_prompts(config: TrainConfig, sprites: TrainingSet) -> TrainConfig:
    """The settings with the prompts of the samples: as typed, else those of the run gone on from, else the set's.

    Of the set come a few captions that are trained on and as many that are held out; every run on it takes the same.
    """
    if config.sampler.prompts:
        return config
    prompts = RunRecord.read(Path(config.resume)).settings.sampler.prompts if config.resume is not None else []
    if not prompts:
        known, new = ({s.caption: None for s in part} for part in (sprites.training, sprites.held_out))
        unseen = choose_subset([c for c in new if c not in known], NUM_PROMPTS // 2, PROMPT_SEED)
        seen = choose_subset(list(known), NUM_PROMPTS - len(unseen), PROMPT_SEED)
        log.info("prompts of the samples: %d captions it trains on, %d it does not", len(seen), len(unseen))
        prompts = [*seen, *unseen]
    return replace(config, sampler=replace(config.sampler, prompts=prompts))


def build_sample_plan(
    config: TrainConfig, base: BaseModel, sprites: TrainingSet, encoded: Encoded, device: torch.device
) -> SamplePlan:
    """The plan of the sample images; the autoencoder is loaded for each drawing alone."""
    drawing, sampler, training = drawing_of(config), config.sampler, sprites.training
    nearest = similar_captions(sampler.prompts, [sprite.caption for sprite in training])
    return SamplePlan(
        prompts=sampler.prompts,
        texts=encoded.prompts,
        negative=encoded.negative,
        references=[training_image(training[i], sprites.matte) for i in nearest],
        sampling=drawing.sampling(base),
        seed=drawing.seed,
        side_px=drawing.side_px,
        decode=lambda latents: decode_latents(load_vae(base, device), latents),
        batch_size=config.trainer.batch_size,
    )
