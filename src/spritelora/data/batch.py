"""What a training step is given, as a pure function of the seed and the sample positions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from spritelora.data.order import DataOrder
from spritelora.diffusion.draws import choose_order, choose_variant, draw_band_noise, draw_training_noise, happens
from spritelora.diffusion.noise import NoiseRecipe
from spritelora.diffusion.timesteps import Timesteps, Uniform
from spritelora.sdxl.latents import time_ids
from spritelora.sdxl.text import TextEmbedding


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


class Shown(NamedTuple):
    """A sprite as one sample shows it: latents (4, h, w), text, and its share of each cell (1, h, w) or 1 (1, 1, 1)."""

    latents: Tensor
    text: TextEmbedding
    mask: Tensor = torch.ones(1, 1, 1)


@dataclass(frozen=True)
class Recipe:
    """How samples are drawn. `caption_dropout`: share of them that have the text `EncodedSet.unconditional`."""

    timesteps: Timesteps = field(default_factory=Uniform)
    noise: NoiseRecipe = field(default_factory=NoiseRecipe)
    caption_dropout: float = 0.0


@dataclass(frozen=True)
class EncodedSet:
    """Sprites as the UNet sees them: latents (4, h, w) and text embeddings, by place.

    `repeats`: how often a pass over the set shows each; once where it is empty. Validation counts each once.
    `regularising`: the same of the last places, whose sprites are not trained on but keep the base as it is: one of
    their samples follows every `every` of the others, as drawn and with its caption. `weights`: factors of the losses;
    1 where it is empty.
    `more`: the further variants of each sprite; empty where there are none of any.
    `unconditional`: the text of a sample whose caption is dropped. `masks`: of each sprite those of its variants
    (1, h, w), the first as drawn; empty where all cells count. `orders`: in the same way the texts of its captions
    with their phrases in further orders; empty where there are none.
    """

    names: Sequence[str]
    latents: Sequence[Tensor]
    texts: Sequence[TextEmbedding]
    repeats: Sequence[int] = ()
    more: Sequence[Sequence[tuple[Tensor, TextEmbedding]]] = ()
    unconditional: TextEmbedding | None = None
    masks: Sequence[Sequence[Tensor]] = ()
    orders: Sequence[Sequence[Sequence[TextEmbedding]]] = ()
    weights: Sequence[float] = ()
    regularising: Sequence[int] = ()
    every: int = 1

    def __len__(self) -> int:
        """The sprites to train on or to validate on."""
        return len(self.names) - len(self.regularising)

    def spread(self, count: int) -> "EncodedSet":
        """At most `count` of those sprites, not varied, evenly spread over their order."""
        places = [i * len(self) // count for i in range(count)] if count < len(self) else range(len(self))
        names, latents, texts = self.names, self.latents, self.texts
        return EncodedSet([names[i] for i in places], [latents[i] for i in places], [texts[i] for i in places])

    @cached_property
    def order(self) -> DataOrder:
        """The order in which training shows the sprites."""
        return DataOrder(self.repeats or [1] * len(self), self.regularising, self.every)

    def shown(self, place: int, seed: int, position: int, caption_dropout: float = 0.0) -> Shown:
        """The variant of the sprite at `place` that a position of the data order shows, under its text there."""
        more = self.more[place] if self.more else ()
        variant = choose_variant(seed, position, 1 + len(more))
        latents, text = more[variant - 1] if variant else (self.latents[place], self.texts[place])
        orders = [text, *self.orders[place][variant]] if self.orders else [text]
        text = orders[choose_order(seed, position, len(orders))]
        is_dropped = place < len(self) and happens(seed, "caption dropout", position, caption_dropout)
        if self.unconditional is not None and is_dropped:
            text = self.unconditional
        return Shown(latents, text, *(self.masks[place][variant : variant + 1] if self.masks else ()))

    def plain(self, place: int) -> Shown:
        """The sprite at `place`, not varied."""
        return Shown(self.latents[place], self.texts[place])


def training_batch(
    encoded: EncodedSet,
    seed: int,
    positions: Sequence[int],
    num_timesteps: int,
    recipe: Recipe = Recipe(),
) -> Batch:
    """The batch of the given positions in the endless data order."""
    indices = [encoded.order.place(seed, p) for p in positions]
    shape = tuple(encoded.latents[0].shape)
    draws = [draw_training_noise(seed, p, shape, num_timesteps, recipe.timesteps) for p in positions]
    plain, constants, timesteps = zip(*draws, strict=True)
    noise = [recipe.noise.shape(n, seed, p) for n, p in zip(plain, positions, strict=True)]
    shown = [encoded.shown(i, seed, p, recipe.caption_dropout) for i, p in zip(indices, positions, strict=True)]
    batch = _assemble(shown, indices, *(torch.stack(part) for part in (noise, constants, timesteps)))
    jitter = [recipe.noise.jitter(n, seed, p) for n, p in zip(plain, positions, strict=True)]
    weights = torch.tensor([encoded.weights[i] for i in indices]) if encoded.weights else torch.ones(len(indices))
    return batch._replace(jitter=torch.stack(jitter), weights=weights)


def validation_batches(
    encoded: EncodedSet, bands: Sequence[tuple[int, int]], draws: int, size: int
) -> list[list[Batch]]:
    """For each timestep band the batches of all sprites, `draws` times, with noise that never changes."""
    return [_band_batches(encoded, band, draws, size) for band in bands]


def _band_batches(encoded: EncodedSet, band: tuple[int, int], draws: int, size: int) -> list[Batch]:
    positions = range(len(encoded) * draws)
    shape = tuple(encoded.latents[0].shape)
    batches: list[Batch] = []
    for chunk in (positions[i : i + size] for i in range(0, len(positions), size)):
        drawn = [draw_band_noise(p, shape, band) for p in chunk]
        noise, timesteps = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        constants = torch.zeros(len(chunk), shape[0], 1, 1)
        indices = [p % len(encoded) for p in chunk]
        batches.append(_assemble([encoded.plain(i) for i in indices], indices, noise, constants, timesteps))
    return batches


def _assemble(
    shown: Sequence[Shown],
    indices: list[int],
    noise: Tensor,
    constants: Tensor,
    timesteps: Tensor,
) -> Batch:
    latents = torch.stack([s.latents for s in shown])
    return Batch(
        latents=latents,
        noise=noise,
        constants=constants,
        timesteps=timesteps,
        states=torch.stack([s.text.states for s in shown]),
        pooled=torch.stack([s.text.pooled for s in shown]),
        time_ids=time_ids(8 * latents.shape[-1]).repeat(len(indices), 1),
        indices=torch.tensor(indices),
        masks=torch.stack([s.mask for s in shown]),
        tokens=torch.stack([s.text.tokens for s in shown]),
    )
