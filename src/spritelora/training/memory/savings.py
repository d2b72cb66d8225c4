"""The settings that would take less memory than a run's."""

import math
from dataclasses import replace

import torch

from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import SpriteLoraError
from spritelora.sdxl.files.base import BaseModel
from spritelora.sprites.pixels.placement import Pair
from spritelora.training.hardware import Hardware
from spritelora.training.memory.need import read_geometry, run_shapes
from spritelora.training.memory.prediction import MemoryUse, Plan, RunShapes


def run_savings(
    config: TrainConfig, base: BaseModel, hardware: Hardware, canvas: Pair | None = None
) -> list[tuple[str, float]]:
    """Settings with which a run that is under way would take less memory; none where too little is left to say.

    `canvas`: the largest that its sprites lie on, None for the square.
    """
    plan = Plan(hardware.base, float(config.hardware.gradient_checkpointing or 0), config.trainer.batch_size)
    try:
        return savings(run_shapes(config, read_geometry(base), hardware, canvas), plan, config.lora.rank)
    except (MemoryError, RuntimeError, SpriteLoraError):
        return []


def savings(run: RunShapes, plan: Plan, rank: int) -> list[tuple[str, float]]:
    """Settings that would take less memory than a plan, each with the GB it saves alone, the largest first."""
    formats = [BaseFormat.half] if run.arithmetic.base == torch.float32 else [BaseFormat.nf4, BaseFormat.int8]
    others = {
        "hardware.gradient_checkpointing=true": replace(plan, checkpointed=1.0),
        "trainer.batch_size=1": replace(plan, batch_size=1),
        **{f"hardware.base={form.value}": replace(plan, base=form) for form in formats},
    }
    now = run.use(plan)
    eight_bits = min(now.optimizer, now.adapter // 2)  # two bytes of state for a parameter of four
    uses = {
        **{setting: run.use(other) for setting, other in others.items() if other != plan},
        f"model.resolution={half_resolution(run.canvas)}": _at_half_side(now),
        "optim=adamw8bit": _with_trained(now, now.adapter, now.gradients, eight_bits),
    }
    if rank > 1:
        halves = (now.adapter // 2, now.gradients // 2, now.optimizer // 2)
        uses[f"lora.rank={rank // 2}"] = _with_trained(now, *halves)
    saved = [(setting, now.peak_gb - use.peak_gb) for setting, use in uses.items()]
    return sorted((s for s in saved if s[1] > 0.01), key=lambda s: -s[1])


def half_resolution(canvas: Pair) -> int:
    """About half the resolution of a canvas, as model.resolution takes it."""
    return math.isqrt(canvas[0] * canvas[1]) // 64 * 32


def _at_half_side(use: MemoryUse) -> MemoryUse:
    """A quarter of what grows with the area of the images."""
    resident = use.process + use.base + use.adapter + use.optimizer
    drawn = max(use.sampling - resident, 0)
    return replace(use, activations=use.activations // 4, sampling=resident + drawn // 4)


def _with_trained(use: MemoryUse, adapter: int, gradients: int, optimizer: int) -> MemoryUse:
    """With other bytes of what is trained, which are there while samples are drawn too."""
    less = use.adapter - adapter + use.optimizer - optimizer
    return replace(use, adapter=adapter, gradients=gradients, optimizer=optimizer, sampling=max(use.sampling - less, 0))
