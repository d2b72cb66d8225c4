"""A run's sample images: what they show, and how the last ones measure up, for its summary and a sweep's results."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from spritelora.config.train.schema import TrainConfig
from spritelora.data.encode_set import Encoded
from spritelora.data.training_set import TrainingSet
from spritelora.drawing.subject import drawing_of, sample_sizes
from spritelora.evaluation.colour_distance import ColourTarget, pooled, profiles_of
from spritelora.evaluation.colours import Palette, palette_of
from spritelora.evaluation.measure import Reference, measure_image
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.evaluation.registry import COLOUR_DISTANCE
from spritelora.sdxl.files.base import BaseModel, load_vae
from spritelora.sdxl.latents import decode_one
from spritelora.sprites.folder.sprite_folder import training_image
from spritelora.training.callbacks.contact_sheet import similar_captions
from spritelora.training.callbacks.samples import SamplePlan


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


def build_sample_plan(
    config: TrainConfig, base: BaseModel, sprites: TrainingSet, encoded: Encoded, device: torch.device
) -> SamplePlan:
    """The plan of the sample images; the autoencoder is loaded for each drawing alone."""
    drawing, sampler, training = drawing_of(config), config.sampler, sprites.training
    sizes = sample_sizes(config, sprites.recorded_canvases)
    nearest = similar_captions(sampler.prompts, [sprite.caption for sprite in training])

    def decode(latents: Sequence[torch.Tensor]) -> list[NDArray[np.uint8]]:
        vae = load_vae(base, device)
        return [decode_one(vae, each) for each in latents]

    return SamplePlan(
        prompts=sampler.prompts,
        texts=encoded.prompts,
        negative=encoded.negative,
        references=[training_image(training[i], sprites.matte) for i in nearest],
        sampling=drawing.sampling(base),
        seed=drawing.seed,
        sizes=[sizes[number % len(sizes)] for number in range(len(sampler.prompts))],
        decode=decode,
        batch_size=config.trainer.batch_size,
        taught={sprite.caption for sprite in training}.intersection(sampler.prompts),
    )
