"""Random numbers as pure functions of (seed, stream, position), so that no run depends on its history."""

import hashlib

import torch
from torch import Tensor

from spritelora.diffusion.timesteps import Timesteps, Uniform


def derive_seed(seed: int, stream: str, position: int) -> int:
    """A seed of its own for every use of randomness, in [0, 2^63)."""
    digest = hashlib.sha256(f"{seed}/{stream}/{position}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, stream: str, position: int) -> torch.Generator:
    """A CPU generator whose numbers depend on its three arguments alone."""
    return torch.Generator().manual_seed(derive_seed(seed, stream, position))


def sample_order(seed: int, epoch: int, num_samples: int, stream: str = "order") -> Tensor:
    """The order of all samples in one pass over them, (num_samples,)."""
    return torch.randperm(num_samples, generator=generator(seed, stream, epoch))


def choose_variant(seed: int, position: int, num_variants: int) -> int:
    """Which of a sample's variants is shown at a position, in [0, num_variants)."""
    return derive_seed(seed, "variant", position) % num_variants


def choose_order(seed: int, position: int, num_orders: int) -> int:
    """Which order of its caption's phrases a sample is shown with at a position, in [0, num_orders)."""
    return derive_seed(seed, "tag order", position) % num_orders


def happens(seed: int, stream: str, position: int, share: float) -> bool:
    """Whether something that happens to a share of all samples happens to the one at a position."""
    return derive_seed(seed, stream, position) < share * 2**63


def draw_training_noise(
    seed: int,
    position: int,
    shape: tuple[int, ...],
    num_timesteps: int,
    timesteps: Timesteps = Uniform(),  # noqa: B008 (frozen)
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise of `shape` (C, h, w), a constant per channel (C, 1, 1), and a timestep, for one sample position."""
    source = generator(seed, "noise", position)
    noise = torch.randn(shape, generator=source)
    constants = torch.randn((shape[0], 1, 1), generator=source)
    return noise, constants, timesteps(num_timesteps, source)


def draw_band_noise(position: int, shape: tuple[int, ...], band: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Noise of `shape` (C, h, w) and a timestep in [band[0], band[1]), for one validation position of any run."""
    source = generator(0, f"validation {band}", position)
    return torch.randn(shape, generator=source), torch.randint(*band, (), generator=source)
