"""A few real forward and backward passes before training: what a step will take."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch

from spritelora.data.batch import Batch
from spritelora.sdxl.layers.compiling import compiler_errors, is_compiled, uncompiled
from spritelora.training.hardware import peak_memory_gb
from spritelora.training.module import LoraModule

ENOUGH_S, MOST_PASSES = 3.0, 6
"""Passes are made until they have taken so long together, or are so many."""


@dataclass(frozen=True)
class StepCost:
    """Seconds of a forward and backward pass of a batch, of a forward pass alone, and the peak memory in GB."""

    pass_s: float
    forward_s: float
    peak_gb: float


def measure_step(module: LoraModule, batch: Batch, autocast: AbstractContextManager[Any]) -> StepCost:
    """Run a batch through the loss and back, and through the loss alone, until the time they take has settled."""
    device = module.device
    moved = Batch(*(t.to(device) for t in batch))
    warms_up = device.type == "cuda" or is_compiled(module.unet)  # the first pass chooses, loads or compiles kernels

    def train() -> None:
        with autocast:
            loss = module.objective.loss(module.unet, module.with_text(moved))
        loss.backward()
        for parameter in module.parameters():
            parameter.grad = None

    def validate() -> None:
        with uncompiled(module.unet), autocast, torch.no_grad():
            module.objective.plain_loss(module.unet, module.with_text(moved))

    module.unet.train()
    with compiler_errors():
        pass_s, forward_s = (settled_s(partial(_timed, work, device), warms_up) for work in (train, validate))
    return StepCost(pass_s, forward_s, peak_memory_gb(device))


def settled_s(measure: Callable[[], float], warms_up: bool) -> float:
    """The seconds that work takes once it has been done before: the median of the later half of a few tries.

    The first passes on a CPU take up to twice as long as the later ones, while memory is fetched from the system.
    `measure`: does it once and tells the seconds. `warms_up`: the first try, however long, says nothing.
    """
    tries = [measure()]
    while len(tries) < 1 + warms_up or (len(tries) < MOST_PASSES and sum(tries) < ENOUGH_S):
        tries.append(measure())
    return median(tries[len(tries) // 2 :])


def _timed(work: Callable[[], None], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
