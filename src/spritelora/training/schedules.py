"""Learning-rate curves: the share of the rate at each optimizer step, after a linear warm-up.

A new one is a frozen dataclass here and a file in conf/schedule.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from spritelora.config.fields import key


class Schedule(Protocol):
    """Share of the learning rate, in [0, 1], for step 0 to max_steps - 1."""

    def __call__(self, step: int, max_steps: int) -> float: ...


def warmup(step: int, warmup_steps: int) -> float:
    """Rises by equal parts from the first step, which is not lost at zero, to 1 at step `warmup_steps` - 1."""
    return min(1.0, (step + 1) / max(1, warmup_steps))


def progress(step: int, warmup_steps: int, max_steps: int) -> float:
    """The place of a step between the end of the warm-up (0) and the end of the run (1)."""
    return min(1.0, max(0.0, (step - warmup_steps) / max(1, max_steps - warmup_steps)))


@dataclass(frozen=True)
class Constant:
    """The full rate."""

    warmup_steps: int = key(0, "steps of the rise to the full learning rate", at_least=0)

    def __call__(self, step: int, max_steps: int) -> float:
        return warmup(step, self.warmup_steps)


@dataclass(frozen=True)
class Linear:
    """Falls in a straight line to `final_share` of the rate."""

    warmup_steps: int = key(0, "steps of the rise to the full learning rate", at_least=0)
    final_share: float = key(0.0, "share of the learning rate left at the end", at_least=0, at_most=1)

    def __call__(self, step: int, max_steps: int) -> float:
        fall = (1 - self.final_share) * progress(step, self.warmup_steps, max_steps)
        return warmup(step, self.warmup_steps) * (1 - fall)


@dataclass(frozen=True)
class Cosine:
    """Falls along half a cosine to `final_share` of the rate. Source: Loshchilov and Hutter 2017, arXiv:1608.03983."""

    warmup_steps: int = key(0, "steps of the rise to the full learning rate", at_least=0)
    final_share: float = key(0.0, "share of the learning rate left at the end", at_least=0, at_most=1)

    def __call__(self, step: int, max_steps: int) -> float:
        fall = (1 - math.cos(math.pi * progress(step, self.warmup_steps, max_steps))) / 2
        return warmup(step, self.warmup_steps) * (1 - (1 - self.final_share) * fall)


@dataclass(frozen=True)
class CosineRestarts:
    """Falls along half a cosine to `final_share`, `cycles` times, each from the full rate.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983.
    """

    warmup_steps: int = key(0, "steps of the rise to the full learning rate", at_least=0)
    cycles: int = key(3, "how often the learning rate falls", at_least=1)
    final_share: float = key(0.0, "share of the learning rate left at the end of each fall", at_least=0, at_most=1)

    def __call__(self, step: int, max_steps: int) -> float:
        past, length = max(0, step - self.warmup_steps), max(1, max_steps - self.warmup_steps)
        # In whole numbers: a share of 1/3 would round below the restart it stands for.
        within = past * self.cycles % length / length if past < length else 1.0
        fall = (1 - math.cos(math.pi * within)) / 2
        return warmup(step, self.warmup_steps) * (1 - (1 - self.final_share) * fall)


@dataclass(frozen=True)
class Polynomial:
    """Falls to `final_share` as a power of what is left of the run."""

    warmup_steps: int = key(0, "steps of the rise to the full learning rate", at_least=0)
    power: float = key(2.0, "1: a straight line; above: falls early, below: late", above=0)
    final_share: float = key(0.0, "share of the learning rate left at the end", at_least=0, at_most=1)

    def __call__(self, step: int, max_steps: int) -> float:
        left = (1 - progress(step, self.warmup_steps, max_steps)) ** self.power
        return warmup(step, self.warmup_steps) * (self.final_share + (1 - self.final_share) * left)
