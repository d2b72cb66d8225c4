"""How a run's last sample images measure up as pixel art, for its summary and the results of a sweep."""

import math
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.evaluation.colours import Palette, palette_of
from spritelora.evaluation.measure import Reference, measure_images
from spritelora.tasks.native_sprites import native_sprites, wanted_grid
from spritelora.tasks.training_set import TrainingSet


def training_palette(sprites: TrainingSet, side_px: int) -> Palette:
    """The colours of the training sprites, as `validate` takes them."""
    return palette_of(native_sprites(sprites, side_px))


def measure_samples(folder: Path, sprites: TrainingSet, palette: Palette) -> dict[str, float]:
    """The mean of every metric over the images of a step, those apart that say nothing about any of them.

    `folder`: with the images. Nearness to training sprites is left to `validate`.
    """
    images = []
    for file in sorted(folder.glob("*.png")):
        with Image.open(file) as image:
            images.append(np.asarray(image.convert("RGB")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing but NaN
        measured = measure_images(images, Reference(palette), wanted_grid(sprites))
        means = {name: float(np.nanmean(values)) for name, values in measured.items()}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}
