"""Errors of a prediction, element by element. A new one is a frozen dataclass here and a file in conf/loss.

The two robust ones are kohya's: their threshold c may depend on the timestep, and they are not torch's functions of
the same name.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from spritelora.config.fields import key

Loss = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""Differences (B, C, h, w), timesteps (B,), their cumulative alphas (B,), number of timesteps; errors (B, C, h, w)."""


@dataclass(frozen=True)
class MeanSquared:
    """The squared difference."""

    def __call__(self, difference: Tensor, timesteps: Tensor, alphas: Tensor, num_timesteps: int) -> Tensor:
        """Shapes as in `Loss`."""
        return difference.square()


@dataclass(frozen=True)
class Huber:
    """2c (sqrt(d^2 + c^2) - c): d^2 near zero, 2c |d| far from it, so that single wild cells pull less."""

    c: float = key(0.1, "threshold between the square and the straight part", above=0, at_most=1)
    schedule: str = key("snr", "how c depends on the timestep", choices=("constant", "exponential", "snr"))

    def __call__(self, difference: Tensor, timesteps: Tensor, alphas: Tensor, num_timesteps: int) -> Tensor:
        """Shapes as in `Loss`."""
        c = threshold(self.schedule, self.c, timesteps, alphas, num_timesteps)
        return 2 * c * soft_absolute(difference, c)


@dataclass(frozen=True)
class SmoothL1:
    """2 (sqrt(d^2 + c^2) - c): d^2 / c near zero, 2 |d| far from it."""

    c: float = key(0.1, "threshold between the square and the straight part", above=0, at_most=1)
    schedule: str = key("snr", "how c depends on the timestep", choices=("constant", "exponential", "snr"))

    def __call__(self, difference: Tensor, timesteps: Tensor, alphas: Tensor, num_timesteps: int) -> Tensor:
        """Shapes as in `Loss`."""
        return 2 * soft_absolute(difference, threshold(self.schedule, self.c, timesteps, alphas, num_timesteps))


def soft_absolute(difference: Tensor, c: Tensor) -> Tensor:
    """sqrt(d^2 + c^2) - c, written so that nothing is lost where d is far below c."""
    square = difference.square()
    return square / ((square + c.square()).sqrt() + c)


def threshold(schedule: str, c: float, timesteps: Tensor, alphas: Tensor, num_timesteps: int) -> Tensor:
    """The threshold of each sample, (B, 1, 1, 1): c itself, or falling from about 1 at t = 0 to about c at the end.

    `exponential`: c^(t/T). `snr`: (1 - c) / (1 + sigma)^2 + c with sigma = sqrt((1 - abar) / abar). `timesteps`,
    `alphas`: (B,). Source: kohya-ss/sd-scripts.
    """
    if schedule == "exponential":
        value = (timesteps.to(alphas) * (math.log(c) / num_timesteps)).exp()
    elif schedule == "snr":
        value = (1 - c) / (1 + ((1 - alphas) / alphas).sqrt()) ** 2 + c
    else:
        value = alphas.new_full(alphas.shape, c)
    return value.view(-1, 1, 1, 1)
