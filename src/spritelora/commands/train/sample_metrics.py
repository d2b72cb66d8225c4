"""How a run's last sample images measure up as pixel art, for its summary and the results of a sweep."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.data.training_set import TrainingSet
from spritelora.evaluation.colour_distance import ColourTarget, pooled, profiles_of
from spritelora.evaluation.colours import Palette, palette_of
from spritelora.evaluation.measure import Reference, measure_image
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.evaluation.registry import COLOUR_DISTANCE


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
