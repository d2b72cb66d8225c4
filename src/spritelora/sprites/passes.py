"""The length of a training in passes over each sprite, and in steps."""

import math
from dataclasses import dataclass

USUAL_PASSES = (50, 100)
"""Passes over each sprite in a usual run, least and most. Source: the guide."""


USUAL_BATCHES = {"the embedded base": 8, "model=sdxl": 2}
"""Sprites a step where a run says nothing else: `trainer.batch_size` of conf/trainer."""


@dataclass(frozen=True)
class PassesAdvice:
    """Optimizer steps that show each sprite 50 and 100 times."""

    num_sprites: int
    sprites_per_step: float
    fewest_steps: int
    most_steps: int


def steps_advice(num_sprites: int) -> str:
    """The steps of a usual run on each base at the batch that it will have."""
    of_bases = (
        f"{advice.fewest_steps:,} to {advice.most_steps:,} steps with {base} ({batch} sprites a step)"
        for base, batch in USUAL_BATCHES.items()
        for advice in [passes_advice(num_sprites, batch)]
    )
    return (
        f"to show each sprite {USUAL_PASSES[0]} to {USUAL_PASSES[1]} times takes {', '.join(of_bases)}; steps=auto "
        f"counts frames and recolours of one subject once, so it may take fewer"
    )


def passes_advice(num_sprites: int, sprites_per_step: float = 1) -> PassesAdvice:
    """The steps of a usual run. `num_sprites`: with repeats. `sprites_per_step`: batch size times accumulation."""
    fewest, most = (math.ceil(num_sprites * passes / sprites_per_step) for passes in USUAL_PASSES)
    return PassesAdvice(num_sprites, sprites_per_step, fewest, most)
