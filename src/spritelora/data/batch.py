"""The batch of a training step, a pure function of the seed and the sample positions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from spritelora.data.encoded import EncodedSet, EncodedView
from spritelora.diffusion.draws import draw_band_noise, draw_training_noise
from spritelora.diffusion.noise import NoiseRecipe
from spritelora.diffusion.timesteps import Timesteps, Uniform
from spritelora.sdxl.latents import time_ids
from spritelora.sprites.pixels.image import LATENT_PX


class Batch(NamedTuple):
    """One forward pass: latents and noise (B, 4, h, w), channel constants (B, 4, 1, 1), timesteps (B,).

    Text states (B, 77, D) and pooled (B, D2), or (B, 0) and the token ids (B, 2, 77) of encoders that are trained; time
    ids (B, 6), and each sample's place in the data set (B,). What the input's noise has more than the target's
    (B, 4, h, w) or (B, 1, 1, 1). The factor of each sample's loss (B,). The share of each cell that is the sprite's
    (B, 1, h, w), or 1 (B, 1, 1, 1).
    """

    latents: Tensor
    noise: Tensor
    constants: Tensor
    timesteps: Tensor
    states: Tensor
    pooled: Tensor
    time_ids: Tensor
    indices: Tensor
    jitter: Tensor = torch.zeros(1, 1, 1, 1)
    weights: Tensor = torch.ones(1)
    tokens: Tensor = torch.empty(0, 0, dtype=torch.long)
    masks: Tensor = torch.ones(1, 1, 1, 1)


@dataclass(frozen=True)
class Recipe:
    """The settings for drawing samples. `caption_dropout`: share of them with the text `EncodedSet.unconditional`."""

    timesteps: Timesteps = field(default_factory=Uniform)
    noise: NoiseRecipe = field(default_factory=NoiseRecipe)
    caption_dropout: float = 0.0


def training_batch(
    encoded: EncodedSet,
    seed: int,
    positions: Iterable[int],
    num_timesteps: int,
    recipe: Recipe = Recipe(),
    samples_a_step: int = 1,
) -> Batch:
    """The batch of the given positions in the endless data order, all of one step where shapes differ.

    `samples_a_step`: of all passes and processes.
    """
    places = {position: encoded.order.place(seed, position, samples_a_step) for position in positions}
    return _collate([_training_sample(encoded, seed, at, num_timesteps, recipe) for at in places.items()])


def _training_sample(encoded: EncodedSet, seed: int, at: tuple[int, int], num_timesteps: int, recipe: Recipe) -> Batch:
    position, place = at
    view = encoded.shown(place, seed, position, recipe.caption_dropout)
    shape = tuple(view.latents.shape)
    plain, constants, timestep = draw_training_noise(seed, position, shape, num_timesteps, recipe.timesteps)
    sample = _sample(view, place, recipe.noise.shape(plain, seed, position), timestep)
    return sample._replace(
        constants=constants,
        jitter=recipe.noise.jitter(plain, seed, position),
        weights=torch.tensor(encoded[place].weight),
    )


def validation_batches(
    encoded: EncodedSet, bands: Sequence[tuple[int, int]], draws: int, size: int
) -> list[list[Batch]]:
    """For each timestep band the batches of all sprites, `draws` times, with noise that never changes.

    A batch has sprites of one shape.
    """
    by_shape: dict[tuple[int, int], list[int]] = {}
    for position in range(len(encoded) * draws):
        by_shape.setdefault(encoded[position % len(encoded)].shape, []).append(position)
    chunks = [alike[i : i + size] for alike in by_shape.values() for i in range(0, len(alike), size)]
    return [[_collate([_band_sample(encoded, p, band) for p in chunk]) for chunk in chunks] for band in bands]


def _band_sample(encoded: EncodedSet, position: int, band: tuple[int, int]) -> Batch:
    place = position % len(encoded)
    view = encoded[place].plain
    return _sample(view, place, *draw_band_noise(position, tuple(view.latents.shape), band))


def _sample(view: EncodedView, place: int, noise: Tensor, timestep: Tensor) -> Batch:
    """One sample as a batch without its first dimension, with nothing but plain noise."""
    channels, height, width = view.latents.shape
    return Batch(
        latents=view.latents,
        noise=noise,
        constants=torch.zeros(channels, 1, 1),
        timesteps=timestep,
        states=view.texts[0].states,
        pooled=view.texts[0].pooled,
        time_ids=time_ids(LATENT_PX * height, LATENT_PX * width),
        indices=torch.tensor(place),
        jitter=torch.zeros(1, 1, 1),
        weights=torch.tensor(1.0),
        tokens=view.texts[0].tokens,
        masks=view.mask,
    )


def _collate(samples: Sequence[Batch]) -> Batch:
    return Batch(*(torch.stack(parts) for parts in zip(*samples, strict=True)))
