"""Drawn sprites as the tiny SDXL sees them: enlarged images, their latents, and what is left after decoding."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spritelora.sprites.pixels.image import LATENT_PX

Sprites = NDArray[np.uint8]


def enlarge(sprites: Sprites, device: torch.device) -> Tensor:
    """Sprites (B, h, w, 3) as images (B, 3, 8 h, 8 w) in [-1, 1], whole pixels repeated."""
    pixels = torch.from_numpy(sprites).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return functional.interpolate(pixels, scale_factor=LATENT_PX, mode="nearest")


@torch.no_grad()
def encode_sprites(vae: Any, sprites: Sprites, batch_size: int = 64) -> Tensor:
    """The encoder's means of sprites (N, h, w, 3), unscaled: (N, 4, h, w) on the CPU."""
    starts = range(0, len(sprites), batch_size)
    images = (enlarge(sprites[start : start + batch_size], vae.device) for start in starts)
    return torch.cat([vae.encode(batch).latent_dist.mean.cpu() for batch in images]).contiguous()


@torch.no_grad()
def reconstruction_db(vae: Any, sprites: Sprites, batch_size: int = 32) -> float:
    """Peak signal to noise of sprites encoded and decoded, in dB over the whole set, unrounded."""
    squares: list[Tensor] = []
    for start in range(0, len(sprites), batch_size):
        images = enlarge(sprites[start : start + batch_size], vae.device)
        decoded = vae.decode(vae.encode(images).latent_dist.mean).sample
        squares.append((decoded.clamp(-1, 1) - images).square().mean((1, 2, 3)).cpu())
    return float(10 * torch.log10(4 / torch.cat(squares).mean()))
