"""Sprites as the UNet sees them: latents, texts and masks, and which of them a sample shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from spritelora.data.order import DataOrder, Subject, subjects_of
from spritelora.diffusion.draws import choose_order, choose_variant, happens
from spritelora.sdxl.text import TextEmbedding

ALL_CELLS = torch.ones(1, 1, 1)
"""The mask of a view of which every cell counts."""


@dataclass(frozen=True)
class EncodedView:
    """One picture of a sprite: latents (4, h, w), the texts that are true of it, and its share of each cell (1, h, w).

    `texts`: of the caption as written, then with its phrases in further orders. `mask`: may be (1, 1, 1).
    """

    latents: Tensor
    texts: Sequence[TextEmbedding]
    mask: Tensor = ALL_CELLS


class Shown(Protocol):
    """A sprite as the order in which a run shows them sees it."""

    @property
    def subject(self) -> str: ...

    @property
    def repeats(self) -> int: ...


@dataclass(frozen=True)
class EncodedSprite:
    """A sprite and its views, as drawn first.

    `repeats`: how often a pass shows it. `weight`: factor of its losses. `subject`: the same for sprites that are shown
    as one; empty for one by itself.
    """

    name: str
    views: Sequence[EncodedView]
    repeats: int = 1
    weight: float = 1.0
    subject: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of its latents, which all its views have."""
        height, width = self.views[0].latents.shape[-2:]
        return height, width

    @property
    def plain(self) -> EncodedView:
        """The sprite as drawn, under its caption as written, all cells counted."""
        return EncodedView(self.views[0].latents, self.views[0].texts[:1])

    def shown(self, seed: int, position: int) -> EncodedView:
        """The view that a position of the data order shows, with its text there as the only one."""
        view = self.views[choose_variant(seed, position, len(self.views))]
        return replace(view, texts=[view.texts[choose_order(seed, position, len(view.texts))]])


@dataclass(frozen=True)
class EncodedSet:
    """The sprites to train on or to validate on, and the images that keep the base as it is.

    One sample of `regularisation` follows every `every` samples of the sprites, with its caption always.
    `unconditional`: the text of a sample whose caption is dropped. Places count the sprites, then the images.
    """

    sprites: Sequence[EncodedSprite]
    regularisation: Sequence[EncodedSprite] = ()
    every: int = 1
    unconditional: TextEmbedding | None = None

    def __len__(self) -> int:
        """The number of sprites, without the images that regularise."""
        return len(self.sprites)

    def __getitem__(self, place: int) -> EncodedSprite:
        num_sprites = len(self.sprites)
        return self.sprites[place] if place < num_sprites else self.regularisation[place - num_sprites]

    @property
    def names(self) -> list[str]:
        """The names by place."""
        return [sprite.name for sprite in (*self.sprites, *self.regularisation)]

    @cached_property
    def order(self) -> DataOrder:
        """The order in which training shows the sprites."""
        shapes = [sprite.shape for sprite in (*self.sprites, *self.regularisation)]
        regularising = subjects_shown(self.regularisation, len(self))
        return DataOrder(subjects_shown(self.sprites), regularising, self.every, shapes)

    @property
    def largest_shape(self) -> tuple[int, int]:
        """The shape with the most cells."""
        return max((s.shape for s in (*self.sprites, *self.regularisation)), key=lambda s: (s[0] * s[1], s))

    def shown(self, place: int, seed: int, position: int, caption_dropout: float = 0.0) -> EncodedView:
        """The view of the sprite at `place` that a position of the data order shows, its text dropped or not."""
        view = self[place].shown(seed, position)
        is_dropped = place < len(self) and happens(seed, "caption dropout", position, caption_dropout)
        if self.unconditional is not None and is_dropped:
            return replace(view, texts=[self.unconditional])
        return view

    def spread(self, count: int) -> "EncodedSet":
        """At most `count` of the sprites, evenly spread over their order."""
        num_sprites = len(self)
        if count >= num_sprites:
            return EncodedSet(self.sprites)
        return EncodedSet([self.sprites[i * num_sprites // count] for i in range(count)])


def subjects_shown(sprites: Sequence[Shown], first: int = 0) -> list[Subject]:
    """The subjects of sprites whose places begin at `first`; one that names none is a subject by itself."""
    names = [sprite.subject or place for place, sprite in enumerate(sprites)]
    return subjects_of(names, [sprite.repeats for sprite in sprites], first)
