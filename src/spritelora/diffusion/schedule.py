"""The noise schedule of SDXL."""

import torch
from torch import Tensor

NUM_TIMESTEPS = 1000


def cumulative_alphas(num_timesteps: int = NUM_TIMESTEPS, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """The share of signal power left at each timestep, for betas linear in their square root.

    Returns (num_timesteps,) float64, in (0, 1). Source: Rombach et al. 2022, arXiv:2112.10752 ("scaled linear").
    """
    betas = torch.linspace(start**0.5, end**0.5, num_timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def to_zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """The schedule moved and stretched in its square root, so that the last timestep is noise alone.

    `alphas_cumprod`: (T,). The first one stays. Source: Lin et al. 2023, arXiv:2305.08891, algorithm 1.
    """
    root = alphas_cumprod.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def signal_to_noise(alphas_cumprod: Tensor) -> Tensor:
    """Power of signal over power of noise, abar / (1 - abar)."""
    return alphas_cumprod / (1 - alphas_cumprod)
