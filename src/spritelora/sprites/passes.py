"""The length of a training in passes over each sprite, and in steps."""

import math
from dataclasses import dataclass

USUAL_PASSES = (50, 100)
"""Passes over each sprite in a usual run, least and most. Source: the guide."""


@dataclass(frozen=True)
class PassesAdvice:
    """Optimizer steps that show each sprite 50 and 100 times."""

    num_sprites: int
    sprites_per_step: float
    fewest_steps: int
    most_steps: int

    def __str__(self) -> str:
        return (
            f"{self.num_sprites:,} sprites, {self.sprites_per_step:g} a step: {USUAL_PASSES[0]} to {USUAL_PASSES[1]} "
            f"passes are {self.fewest_steps:,} to {self.most_steps:,} steps (trainer.max_steps={self.most_steps})"
        )


def passes_advice(num_sprites: int, sprites_per_step: float = 1) -> PassesAdvice:
    """The steps of a usual run. `num_sprites`: with repeats. `sprites_per_step`: batch size times accumulation."""
    fewest, most = (math.ceil(num_sprites * passes / sprites_per_step) for passes in USUAL_PASSES)
    return PassesAdvice(num_sprites, sprites_per_step, fewest, most)
