"""Sets of sprites that code draws: what the autoencoder is whitened on, and what figures are about."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn import SpriteSpec, draw_sprite, sample_spec

WHITENED_STREAM, UNSEEN_STREAM = 2, 4
"""Streams of random numbers, so that one purpose has others than another under the same seed."""


@dataclass(frozen=True)
class DrawnSprites:
    """Drawn sprites and what they show; `pixels`: (N, 16, 16, 3)."""

    specs: list[SpriteSpec]
    pixels: NDArray[np.uint8]


def draw_sprites(num_sprites: int, seed: int, stream: int, without: list[tuple[str, str]]) -> DrawnSprites:
    """Draw random sprites, none of them of a pair in `without`."""
    rng = np.random.default_rng([seed, stream])
    excluded = set(without)
    specs: list[SpriteSpec] = []
    while len(specs) < num_sprites:
        spec = sample_spec(rng)
        if (spec.subject, spec.colour) not in excluded:
            specs.append(spec)
    return DrawnSprites(specs, np.stack([draw_sprite(spec, rng) for spec in specs]))
