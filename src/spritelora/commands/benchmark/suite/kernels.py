"""The device's work within a step: shares of its kernels, gaps between them, and waits of the processor for it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity, profile

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.suite.parts import Setting
from spritelora.commands.benchmark.suite.steps import settings_of
from spritelora.commands.benchmark.training import measure_training

KINDS = (
    ("attention", r"flash|fmha|attention|sdpa"),
    ("convolution", r"conv|wgrad|dgrad|fprop|implicit|winograd|nchw|nhwc"),
    ("gemm", r"gemm|cutlass|matmul|gemv|splitk|nvjet"),
    ("norms", r"norm|welford|rowwise"),
    ("casts and copies", r"copy|cast|memcpy|memset|convert|transpose|CatArray"),
    ("optimizer", r"adam|multi_tensor|foreach|lamb|optimizer"),
)
"""Kinds of kernels by their names; the first that matches counts."""
WAITS = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "aten::item",
    "aten::_local_scalar_dense",
)
LISTED = 40


class Kernel(NamedTuple):
    """A kernel's run on the device, in microseconds."""

    name: str
    start_us: float
    duration_us: float


def kind_of(name: str) -> str:
    """The kind of a kernel: one of KINDS, or elementwise."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, name, re.IGNORECASE)), "elementwise")


def longest_first(times: Mapping[str, float]) -> list[tuple[str, float]]:
    """Names with their times, the longest first."""
    return sorted(times.items(), key=lambda pair: -pair[1])


def shares(kernels: Iterable[Kernel]) -> dict[str, float]:
    """Each kind's share of the kernels' time."""
    times = defaultdict[str, float](float)
    for kernel in kernels:
        times[kind_of(kernel.name)] += kernel.duration_us
    total = sum(times.values())
    return {kind: round(us / total, 4) for kind, us in longest_first(times)} if total else {}


def idle_share(kernels: Sequence[Kernel]) -> float:
    """Share of the time from the first kernel's start to the last's end in which none ran."""
    if not kernels:
        return 0.0
    ordered = sorted(kernels, key=lambda kernel: kernel.start_us)
    busy_us, until_us = 0.0, ordered[0].start_us
    for kernel in ordered:
        end_us = kernel.start_us + kernel.duration_us
        busy_us += max(0.0, end_us - max(until_us, kernel.start_us))
        until_us = max(until_us, end_us)
    whole_us = until_us - ordered[0].start_us
    return round(1 - busy_us / whole_us, 4) if whole_us else 0.0


class OneStep(pl.Callback):
    """Profiles the last step of a loop, when its kernels are chosen and its memory is there."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            torch.cuda.synchronize()
            self.profiler.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step + 1:
            torch.cuda.synchronize()
            self.profiler.stop()


def profile_step(setting: Setting) -> Figures:
    """The kernels of one step; the longest are listed in a file beside the figures."""
    name = setting.part.replace("kernels", "step")
    config = replace(settings_of(name, setting), rounds=1, steps=2, warmup=3)
    watch = OneStep(step=4)
    measure_training(config, [watch])
    events = list(watch.profiler.events() or [])
    kernels = [
        Kernel(e.name, e.time_range.start, e.time_range.elapsed_us())
        for e in events
        if e.device_type == torch.autograd.DeviceType.CUDA
    ]
    waits = Counter(e.name for e in events if e.name in WAITS)
    _list_kernels(setting.folder / f"{setting.part}.txt", kernels)
    return {
        "batch_size": config.batch_size,
        "kernels": len(kernels),
        "kernel_ms": round(sum(k.duration_us for k in kernels) / 1000, 2),
        "shares": shares(kernels),
        "idle_share": idle_share(kernels),
        "waits": dict(waits),
    }


def _list_kernels(file: Path, kernels: Iterable[Kernel]) -> None:
    times, counts = defaultdict[str, float](float), Counter[str]()
    for kernel in kernels:
        times[kernel.name] += kernel.duration_us
        counts[kernel.name] += 1
    lines = [f"{us / 1000:9.3f} ms {counts[n]:6d} {kind_of(n):18s} {n}" for n, us in longest_first(times)[:LISTED]]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
