"""Distributions of the timesteps of training samples.

A new one is a frozen dataclass here and a file in conf/timesteps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.config.fields import key
from spritelora.errors import ConfigError

Timesteps = Callable[[int, torch.Generator], Tensor]
"""A whole number in [0, num_timesteps), drawn from a generator, as a tensor ()."""


@dataclass(frozen=True)
class Uniform:
    """Every timestep as often as any other."""

    def __call__(self, num_timesteps: int, source: torch.Generator) -> Tensor:
        """As `Timesteps` says."""
        return torch.randint(num_timesteps, (), generator=source)


@dataclass(frozen=True)
class LogitNormal:
    """The logit of t/T is normal: most in the middle, where the picture takes its form.

    Source: Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """

    mean: float = key(0.0, "above 0: more of the noisy timesteps, below 0: fewer")
    std: float = key(1.0, "width; small: all timesteps near the middle", above=0)

    def __call__(self, num_timesteps: int, source: torch.Generator) -> Tensor:
        """As `Timesteps` says."""
        share = torch.sigmoid(self.mean + self.std * torch.randn((), generator=source, dtype=torch.float64))
        return (share * num_timesteps).long().clamp(max=num_timesteps - 1)


@dataclass(frozen=True)
class Band:
    """Only the timesteps from `first` up to, not including, `last`."""

    first: int = key(0, "first timestep", at_least=0)
    last: int = key(1000, "end of the band, not included", at_least=1)

    def __post_init__(self) -> None:
        if self.first >= self.last:
            raise ConfigError(f"timesteps: no timestep lies in [{self.first}, {self.last}); raise timesteps.last")

    def __call__(self, num_timesteps: int, source: torch.Generator) -> Tensor:
        """As `Timesteps` says. Raises ConfigError where the model has no such timesteps."""
        if self.last > num_timesteps:
            raise ConfigError(f"timesteps.last={self.last}: the model has {num_timesteps} timesteps; lower it")
        return torch.randint(self.first, self.last, (), generator=source)
