"""The ceiling: what an autoencoder alone does to sprites, by factor. No LoRA on its latents can do better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from spritelora.errors import DatasetError
from spritelora.evaluation.colours import nearest_colours, palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Reference, measure_image
from spritelora.sprites.pixels.image import LATENT_PX, Pixels, scale_nearest
from spritelora.sprites.pixels.palette import count_colours, to_oklab

Latents = TypeVar("Latents")

GOOD_ENOUGH = 0.99


@dataclass(frozen=True)
class Ceiling:
    """What sprites enlarged by `factor` are after encoding and decoding.

    `exact`: the share of native pixels that come back as the colour they were, once snapped to the grid and to the
    sprite's own colours, 0 to 1. `colour_error`: OKLab distance of a native pixel, snapped to the grid only, to what it
    was, mean over all. `values`: the mean of each metric of the registry on the decoded images, NaN left out.
    """

    factor: int
    exact: float
    colour_error: float
    values: dict[str, float]


def measure_ceiling(
    sprites: Sequence[Pixels],
    factors: Sequence[int],
    encode: Callable[[Pixels], Latents],
    decode: Callable[[Latents], Pixels],
    matte: tuple[int, int, int] = (255, 255, 255),
) -> list[Ceiling]:
    """The ceiling of each factor over RGB sprites (h, w, 3) at native size.

    `encode` and `decode`: of the autoencoder, for one image (H, W, 3) whose sides are multiples of 8 px; the sprite is
    at its upper left, the matte fills the rest. Raises DatasetError without sprites.
    """
    if not sprites:
        raise DatasetError("ceiling: no sprites to encode; give at least one")
    return [_of_factor(sprites, factor, lambda image: decode(encode(image)), matte) for factor in factors]


def right_factor(ceilings: Sequence[Ceiling], least: float = GOOD_ENOUGH) -> int | None:
    """The smallest factor at which at least this share of pixels comes back exactly, or None."""
    return min((c.factor for c in ceilings if c.exact >= least), default=None)


def _of_factor(
    sprites: Sequence[Pixels], factor: int, round_trip: Callable[[Pixels], Pixels], matte: tuple[int, int, int]
) -> Ceiling:
    reference = Reference(palette_of([*sprites, np.array([[matte]], np.uint8)]))
    exact: list[float] = []
    errors: list[float] = []
    rows: list[dict[str, float]] = []
    for sprite in sprites:
        measured = measure_image(round_trip(lay_out(sprite, factor, matte)), reference, Grid(factor))
        found = measured.native[: sprite.shape[0], : sprite.shape[1]]
        own, _ = count_colours(sprite)
        locked = own[nearest_colours(found.reshape(-1, 3), own)[0]].reshape(found.shape)
        exact.append(float((locked == sprite).all(-1).mean()))
        errors.append(float(np.linalg.norm(to_oklab(found) - to_oklab(sprite), axis=-1).mean()))
        rows.append(measured.values)
    means = {name: _mean_of_known([row[name] for row in rows]) for name in rows[0]}
    return Ceiling(factor, float(np.mean(exact)), float(np.mean(errors)), means)


def lay_out(sprite: Pixels, factor: int, matte: tuple[int, int, int]) -> Pixels:
    """A sprite enlarged by a factor, on the matte, with sides of whole latent cells."""
    enlarged = scale_nearest(sprite, factor)
    height, width = (-(-n // LATENT_PX) * LATENT_PX for n in enlarged.shape[:2])
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = matte
    canvas[: enlarged.shape[0], : enlarged.shape[1]] = enlarged
    return canvas


def _mean_of_known(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
