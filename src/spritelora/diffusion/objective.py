"""The training objective of a latent diffusion model."""

from collections.abc import Callable

import torch
from torch import Tensor

from spritelora.config.schema import Prediction

Weighting = Callable[[Tensor, Prediction], Tensor]


def add_noise(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The noisy latents sqrt(abar) x + sqrt(1 - abar) n. `alphas_cumprod`: (B,); the others (B, C, h, w)."""
    abar = alphas_cumprod.view(-1, 1, 1, 1)
    return (abar.sqrt() * latents + (1 - abar).sqrt() * noise).to(latents.dtype)


def prediction_target(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor, prediction: Prediction) -> Tensor:
    """What the model should say: the noise, or the velocity sqrt(abar) n - sqrt(1 - abar) x.

    Shapes as in `add_noise`. Source of v: Salimans and Ho 2022, arXiv:2202.00512.
    """
    if prediction is Prediction.epsilon:
        return noise
    abar = alphas_cumprod.view(-1, 1, 1, 1)
    return (abar.sqrt() * noise - (1 - abar).sqrt() * latents).to(latents.dtype)


def weighted_loss(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Squared error, mean over each sample, weighted, mean over the batch; a scalar in fp32.

    `weights`: (B,); the others (B, C, h, w).
    """
    error = (predicted.float() - target.float()).square().flatten(1).mean(dim=1)
    return (error * weights.to(error.dtype)).mean()


def offset_noise(noise: Tensor, constants: Tensor, size: float) -> Tensor:
    """Noise plus `size` times a constant for each sample and channel.

    `noise`: (B, C, h, w); `constants`: (B, C, 1, 1), standard normal. Source: Guttenberg 2023,
    "Diffusion with offset noise".
    """
    return noise if size == 0 else noise + size * torch.as_tensor(constants)
