"""The sprites the base is trained on: drawn once, encoded once, captioned anew at every step."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from spritelora.embedded.drawn import SpriteSpec, draw_sprite, sample_spec
from spritelora.embedded.model.tiny import TinySdxl
from spritelora.embedded.model.tiny_latents import encode_sprites
from spritelora.embedded.model.tiny_vae import whiten_latents
from spritelora.weight_files.container import read_tensors

logger = logging.getLogger(__name__)

TRAINING_STREAM, UNSEEN_STREAM = 2, 4
"""Streams of random numbers, so that one purpose has others than another under the same seed."""

NUM_WHITENED = 1024


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


def encode_training_set(parts: TinySdxl, drawn: DrawnSprites, path: Path) -> Tensor:
    """Whiten the autoencoder on the drawn sprites and encode them; both from the file where there is one.

    Returns (N, 4, 16, 16), scaled: mean 0 and unit variance over the set.
    """
    folded = {"quant_conv": parts.vae.quant_conv, "post_quant_conv": parts.vae.post_quant_conv}
    if path.exists():
        saved = read_tensors(path)
        for name, layer in folded.items():
            layer.load_state_dict({"weight": saved[f"{name}.weight"], "bias": saved[f"{name}.bias"]})
        return saved["latents"]
    whiten_latents(parts.vae, encode_sprites(parts.vae, drawn.pixels[:NUM_WHITENED]))
    latents = encode_sprites(parts.vae, drawn.pixels) * parts.vae.config["scaling_factor"]
    tensors = {f"{name}.{key}": value for name, layer in folded.items() for key, value in layer.state_dict().items()}
    save_file({"latents": latents, **{key: value.contiguous() for key, value in tensors.items()}}, path)
    logger.info("encoded %d sprites: mean %.3f, std %.3f", len(latents), latents.mean(), latents.std())
    return latents
