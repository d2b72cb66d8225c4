"""Steady steps of the training loop: time, images, arithmetic against the chip's own rate, memory."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from spritelora.adapters.layers.lora import adapter_parameters, add_lora, match_targets
from spritelora.commands.benchmark.figures import Figures, spread
from spritelora.commands.benchmark.random_inputs import random_set
from spritelora.config.commands.benchmark import GEOMETRIES, BenchmarkConfig, BenchmarkOptim
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import Prediction
from spritelora.data.batch import training_batch
from spritelora.data.encoded import EncodedSet
from spritelora.data.stream import SpriteData
from spritelora.diffusion.schedule import NUM_TIMESTEPS, cumulative_alphas
from spritelora.diffusion.weighting import Uniform
from spritelora.embedded.location import embedded_base
from spritelora.errors import TrainingError, first_line
from spritelora.process import choose_products, map_large_blocks
from spritelora.sdxl.files.base import Unet, find_base, load_unet
from spritelora.sdxl.files.geometry import SDXL_UNET, random_unet, shapes_of
from spritelora.sdxl.layers.compiling import compile_blocks, compiler_errors
from spritelora.sdxl.layers.quantised import BYTES_PER_WEIGHT, quantise
from spritelora.sdxl.layers.recompute import recompute
from spritelora.sdxl.layers.stored import store
from spritelora.sdxl.sample import call_unet
from spritelora.training.hardware import Hardware, choose_hardware, peak_memory_gb, reset_peak_memory
from spritelora.training.module import LoraModule, Objective
from spritelora.training.trainer import make_trainer


def measure_training(config: BenchmarkConfig, callbacks: Sequence[pl.Callback] = ()) -> Figures:
    """Time of a step on random latents, through the loop that `train.py` runs."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    map_large_blocks()
    hardware = choose_hardware(config.device, config.precision)
    side_px = settle_side(config)
    started = time.perf_counter()
    unet = adapted_unet(config, hardware)
    loaded_s = time.perf_counter() - started
    unet_config = dict(unet.config)
    encoded = random_set(unet_config, side_px)
    try:
        with compiler_errors():
            warmup_s, round_s = run_loop(make_module(unet, config), encoded, hardware, config, callbacks)
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(f"out of GPU memory ({first_line(error)}); try batch_size=1") from error
    step_s = spread([s / config.steps for s in round_s])
    tflop = count_tflop(unet_config, config.targets, config.rank, encoded, config.batch_size)
    rate = matrix_rate(hardware)
    return {
        "mode": "train",
        "model": config.model,
        "hardware": hardware.name,
        "precision": hardware.precision.value,
        "base": config.base.value,
        "resolution": side_px,
        "batch_size": config.batch_size,
        "rank": config.rank,
        "optim": config.optim.value,
        "gradient_checkpointing": config.gradient_checkpointing,
        "trainable_parameters": sum(p.numel() for p in adapter_parameters(unet)),
        "load_s": round(loaded_s, 2),
        "compile": config.compile,
        "warmup_s": round(warmup_s, 2),
        "step_s": step_s,
        "images_per_s": float(f"{config.batch_size / step_s['median']:.4g}"),
        "tflop_per_step": float(f"{tflop:.4g}"),
        "tflop_per_s": float(f"{tflop / step_s['median']:.4g}"),
        "matrix_tflop_per_s": float(f"{rate:.4g}"),
        "share_of_matrix_rate": float(f"{tflop / step_s['median'] / rate:.3g}"),
        "peak_gb": round(peak_memory_gb(hardware.device), 3),
    }


def adapted_unet(config: BenchmarkConfig, hardware: Hardware) -> Unet:
    """The UNet on the device in the settings' format, with a new LoRA, ready to train."""
    is_half = config.base is BaseFormat.half
    unet = open_unet(config.model, hardware, torch.float16 if is_half else None)
    if is_half:
        store(unet, hardware.base_dtype)
    if config.base in BYTES_PER_WEIGHT:
        unet = quantise(unet, config.base)
    reset_peak_memory(hardware.device)
    add_lora(unet, match_targets(unet, config.targets), config.rank, config.rank, 0.0, seed=0)
    recompute(unet, float(config.gradient_checkpointing))
    if config.compile:
        compile_blocks(unet)
    return unet.train()


def settle_side(config: BenchmarkConfig) -> int:
    """The side of the images in pixels."""
    return config.resolution or (1024 if config.model == "sdxl" else 128)


def open_unet(model: str, hardware: Hardware, dtype: torch.dtype | None = None) -> Unet:
    """The UNet of a model, frozen, on the device; of `sdxl` with random weights. `dtype`: None for the arithmetic's."""
    dtype = dtype or hardware.base_dtype
    if model == "sdxl":
        unet = random_unet(SDXL_UNET, hardware.device, dtype)
    else:
        base = find_base(str(embedded_base()) if model in GEOMETRIES else model)
        unet = load_unet(base, dtype, hardware.device)
    choose_products(unet.config)
    return unet


class RoundClock(pl.Callback):
    """Seconds of each round of steps after the warm-up; the device is waited for between rounds only."""

    def __init__(self, warmup: int, steps: int, rounds: int) -> None:
        self.ends = {warmup + steps * i for i in range(rounds + 1)}
        self.stamps: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step in self.ends:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.stamps.append(time.perf_counter())


def run_loop(
    module: LoraModule,
    encoded: EncodedSet,
    hardware: Hardware,
    config: BenchmarkConfig,
    callbacks: Sequence[pl.Callback] = (),
) -> tuple[float, list[float]]:
    """Seconds of the warm-up, in which kernels are chosen, loaded and compiled, and of each round."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # importing it has set its own level
    clock = RoundClock(config.warmup, config.steps, config.rounds)
    trainer = make_trainer(hardware, max(clock.ends), 1.0, [clock, *callbacks], devices=1)
    started = time.perf_counter()
    trainer.fit(module, SpriteData(encoded, 0, config.batch_size, NUM_TIMESTEPS))
    return clock.stamps[0] - started, [b - a for a, b in zip(clock.stamps, clock.stamps[1:], strict=False)]


def make_module(unet: Unet, config: BenchmarkConfig) -> LoraModule:
    """The LightningModule around a UNet, with the settings' optimizer at its usual rate."""
    return LoraModule(
        unet,
        Objective(cumulative_alphas(), Prediction.epsilon, Uniform(), 0.0),
        make_optimizer=lambda named: make_optimizer(config.optim, [p for _, p in named]),
        rate_share=lambda _step: 1.0,
        seed=0,
    )


def make_optimizer(kind: BenchmarkOptim, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """An optimizer over the parameters at a rate of 1e-4."""
    if kind is BenchmarkOptim.adamw:
        return torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    from bitsandbytes.optim import AdamW8bit, PagedAdamW8bit

    made: Any = {BenchmarkOptim.adamw8bit: AdamW8bit, BenchmarkOptim.paged_adamw8bit: PagedAdamW8bit}[kind]
    return made(parameters, lr=1e-4)


def count_tflop(
    unet_config: Mapping[str, Any], targets: list[str], rank: int, encoded: EncodedSet, batch_size: int
) -> float:
    """Arithmetic of one forward and backward pass without recomputation, counted on shapes alone."""
    unet = shapes_of(unet_config).requires_grad_(False)
    add_lora(unet, match_targets(unet, targets), rank, rank, 0.0, seed=0)
    return tflop_of_pass(unet, encoded, batch_size)


def tflop_of_pass(unet: Unet, encoded: EncodedSet, batch_size: int) -> float:
    """Arithmetic of a batch forward and backward through a UNet on the meta device."""
    with FlopCounterMode(display=False) as counter:
        forward_shapes(unet, encoded, batch_size).sum().backward()
    return counter.get_total_flops() / 1e12


def tflop_of_forward(unet: Unet, encoded: EncodedSet) -> float:
    """Arithmetic of one image through a UNet on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        forward_shapes(unet, encoded, 1)
    return counter.get_total_flops() / 1e12


def forward_shapes(unet: Unet, encoded: EncodedSet, batch_size: int) -> Tensor:
    """A batch through a UNet on the meta device."""
    batch = training_batch(encoded, 0, range(batch_size), NUM_TIMESTEPS)
    noisy, states, pooled, ids = (t.to("meta") for t in (batch.latents, batch.states, batch.pooled, batch.time_ids))
    conditions = {"text_embeds": pooled, "time_ids": ids}
    return call_unet(unet, noisy, batch.timesteps.to("meta"), states, conditions)


def matrix_rate(hardware: Hardware, seconds: float = 1.0) -> float:
    """TFLOP/s of square matrix products in the number format of the base, the best of several."""
    size = 8192 if hardware.device.type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=hardware.device).to(hardware.base_dtype) for _ in range(2))
    best_s, deadline = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        started = time.perf_counter()
        torch.mm(a, b)
        if a.is_cuda:
            torch.cuda.synchronize()
        best_s = min(best_s, time.perf_counter() - started)
    return 2 * size**3 / best_s / 1e12
