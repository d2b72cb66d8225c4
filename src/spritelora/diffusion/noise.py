"""Noise that is more than independent normal numbers: offset, pyramid, and perturbed inputs.

Every number depends on (seed, position) alone, and a sample's noise on nothing of its neighbours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from spritelora.diffusion.draws import generator


@dataclass(frozen=True)
class NoiseRecipe:
    """Changes to the noise of a sample after it is drawn.

    `pyramid_levels`: coarser noises added, 0: none; each has `pyramid_discount` times the size of the one before.
    `perturbation`: size of the noise that the model's input has and its target has not.
    """

    pyramid_levels: int = 0
    pyramid_discount: float = 0.3
    perturbation: float = 0.0

    def shape(self, noise: Tensor, seed: int, position: int) -> Tensor:
        """The noise (C, h, w) with its pyramid."""
        if not self.pyramid_levels:
            return noise
        return add_pyramid(noise, self.pyramid_levels, self.pyramid_discount, generator(seed, "pyramid", position))

    def jitter(self, noise: Tensor, seed: int, position: int) -> Tensor:
        """The noise that is added to the input alone: shaped like `noise`, or zeros (1, 1, 1) where it is off.

        Source: Ning et al. 2023, arXiv:2301.11706 ("input perturbation").
        """
        if not self.perturbation:
            return noise.new_zeros(1, 1, 1)
        return self.perturbation * torch.randn(noise.shape, generator=generator(seed, "perturbation", position))


def add_pyramid(noise: Tensor, levels: int, discount: float, source: torch.Generator) -> Tensor:
    """Noise (C, h, w) plus ever coarser noise, brought back to a standard deviation of 1.

    Each level is 2 to 4 times coarser than the one before and `discount` times its size, down to a single cell.
    kohya divides by the standard deviation of the whole batch, which couples its samples; here by the sample's own.
    Source: Whitaker 2023, "Multi-Resolution Noise for Diffusion Model Training".
    """
    channels, height, width = noise.shape
    total = noise
    for level in range(levels):
        ratio = (2 + 2 * float(torch.rand((), generator=source))) ** level
        size = max(1, int(height / ratio)), max(1, int(width / ratio))
        coarse = torch.randn((1, channels, *size), generator=source)
        total = total + functional.interpolate(coarse, (height, width), mode="bilinear")[0] * discount**level
        if 1 in size:
            break
    return total / total.std()


def offset_noise(noise: Tensor, constants: Tensor, size: float, latents: Tensor, adaptive: float = 0.0) -> Tensor:
    """Noise plus a constant for each sample and channel, of size `size` plus `adaptive` times the latents' |mean|.

    A negative `adaptive` lowers the size where the picture is far from grey, not below zero. `noise`, `latents`:
    (B, C, h, w); `constants`: (B, C, 1, 1), standard normal. Source: Guttenberg 2023, "Diffusion with offset noise";
    the adaptive part is kohya's.
    """
    if size == 0 and adaptive == 0:
        return noise
    if adaptive == 0:
        return noise + size * torch.as_tensor(constants)
    means = latents.mean(dim=(2, 3), keepdim=True).abs()
    return noise + (size + adaptive * means).clamp(min=0) * constants
