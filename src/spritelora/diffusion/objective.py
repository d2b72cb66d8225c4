"""The training objective of a latent diffusion model."""

from collections.abc import Callable

from torch import Tensor

from spritelora.config.train.schema import Prediction

Weighting = Callable[[Tensor, Prediction], Tensor]


def add_noise(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The noisy latents sqrt(abar) x + sqrt(1 - abar) n. `alphas_cumprod`: (B,); the others (B, C, h, w)."""
    abar = alphas_cumprod.view(-1, 1, 1, 1)
    return (abar.sqrt() * latents + (1 - abar).sqrt() * noise).to(latents.dtype)


def prediction_target(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor, prediction: Prediction) -> Tensor:
    """The model's target: the noise, or the velocity sqrt(abar) n - sqrt(1 - abar) x.

    Shapes as in `add_noise`. Source of v: Salimans and Ho 2022, arXiv:2202.00512.
    """
    if prediction is Prediction.epsilon:
        return noise
    abar = alphas_cumprod.view(-1, 1, 1, 1)
    return (abar.sqrt() * noise - (1 - abar).sqrt() * latents).to(latents.dtype)


def weighted_loss(errors: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """Mean of each sample's errors over its mask, weighted, mean over the batch; a scalar in fp32.

    Dividing by the mask's area keeps small sprites from teaching less: an error that is the same in every cell gives
    the same loss whatever the mask. `errors`: (B, C, h, w); `masks`: (B, 1, h, w) or (B, 1, 1, 1), not all zero;
    `weights`: (B,).
    """
    per_sample = (errors * masks).flatten(1).mean(dim=1) / masks.flatten(1).mean(dim=1)
    return (per_sample * weights.to(per_sample.dtype)).mean()
