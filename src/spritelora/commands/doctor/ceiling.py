"""The ceiling of a training set: how much of its sprites an autoencoder alone gives back. No LoRA can do better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spritelora.data.training_set import TrainingSet
from spritelora.errors import DatasetError, WeightsError
from spritelora.evaluation.colours import nearest_colours, palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Reference, measure_image
from spritelora.sprites.folder.sprite_folder import native_sprite
from spritelora.sprites.pixels.image import LATENT_PX, Pixels, scale_nearest
from spritelora.sprites.pixels.palette import count_colours, to_oklab

SPRITES_TRIED = 4
"""Sprites that go through the autoencoder; SDXL's takes seconds for each on a CPU."""


@dataclass(frozen=True)
class Ceiling:
    """Sprites enlarged by `factor`, after encoding and decoding.

    `exact`: the share of native pixels that come back as the colour they were, once snapped to the grid and to the
    sprite's own colours, 0 to 1. `colour_error`: OKLab distance of a native pixel, snapped to the grid only, to what it
    was, mean over all.
    """

    factor: int
    exact: float
    colour_error: float


def measure_ceiling(
    sprites: Sequence[Pixels],
    factor: int,
    round_trip: Callable[[Pixels], Pixels],
    matte: tuple[int, int, int] = (255, 255, 255),
) -> Ceiling:
    """The ceiling of RGB sprites (h, w, 3) at native size.

    `round_trip`: encodes and decodes one image (H, W, 3) whose sides are multiples of 8 px; the sprite is at its upper
    left, the matte fills the rest. Raises DatasetError without sprites.
    """
    if not sprites:
        raise DatasetError("ceiling: no sprites to encode; give at least one")
    exact: list[float] = []
    errors: list[float] = []
    for sprite in sprites:
        own, _ = count_colours(sprite)
        native = measure_image(
            round_trip(lay_out(sprite, factor, matte)), Reference(palette_of([sprite])), Grid(factor)
        ).native
        found = native[: sprite.shape[0], : sprite.shape[1]]
        locked = own[nearest_colours(found.reshape(-1, 3), own)[0]].reshape(found.shape)
        exact.append(float((locked == sprite).all(-1).mean()))
        errors.append(float(np.linalg.norm(to_oklab(found) - to_oklab(sprite), axis=-1).mean()))
    return Ceiling(factor, float(np.mean(exact)), float(np.mean(errors)))


def lay_out(sprite: Pixels, factor: int, matte: tuple[int, int, int]) -> Pixels:
    """A sprite enlarged by a factor, on the matte, with sides of whole latent cells."""
    enlarged = scale_nearest(sprite, factor)
    height, width = (-(-n // LATENT_PX) * LATENT_PX for n in enlarged.shape[:2])
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = matte
    canvas[: enlarged.shape[0], : enlarged.shape[1]] = enlarged
    return canvas


def ceiling_of(sprites: TrainingSet, round_trip: Callable[[Pixels], Pixels]) -> Ceiling | None:
    """The ceiling on a few sprites; None where they share no factor, or where the autoencoder overflows."""
    if sprites.factor is None:
        return None
    chosen = sprites.training[:: -(-len(sprites.training) // SPRITES_TRIED)]
    natives = [native_sprite(sprite).on_matte(sprites.matte) for sprite in chosen]
    try:
        return measure_ceiling(natives, sprites.factor, round_trip, sprites.matte)
    except WeightsError:  # the finding on number formats says so
        return None
