"""One real forward and backward pass before training: what a step will take."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from spritelora.data.batch import Batch
from spritelora.sdxl.layers.compiling import compiler_errors, is_compiled
from spritelora.training.hardware import peak_memory_gb
from spritelora.training.module import LoraModule


@dataclass(frozen=True)
class StepCost:
    """Seconds of one forward and backward pass, and the peak memory in GB with it."""

    pass_s: float
    peak_gb: float


def measure_step(module: LoraModule, batch: Batch, autocast: AbstractContextManager[Any]) -> StepCost:
    """Run a batch through the loss and back; twice where the first pass also chooses, loads or compiles kernels."""
    device = module.device
    moved = Batch(*(t.to(device) for t in batch))
    module.unet.train()
    with compiler_errors():
        pass_s = _timed_pass(module, moved, autocast)
    if device.type == "cuda" or is_compiled(module.unet):
        pass_s = _timed_pass(module, moved, autocast)
    return StepCost(pass_s, peak_memory_gb(device))


def _timed_pass(module: LoraModule, batch: Batch, autocast: AbstractContextManager[Any]) -> float:
    started = time.perf_counter()
    with autocast:
        loss = module.objective.loss(module.unet, module.with_text(batch))
    loss.backward()
    if batch.latents.is_cuda:
        torch.cuda.synchronize()
    for parameter in module.parameters():
        parameter.grad = None
    return time.perf_counter() - started
