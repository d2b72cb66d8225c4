"""Predicted times of SDXL on a chip that is not here, by counted arithmetic, bytes and a share of its matrix rate."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from spritelora.adapters.layers.lora import add_lora, match_targets
from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.random_inputs import random_set
from spritelora.commands.benchmark.training import count_tflop, tflop_of_forward
from spritelora.config.commands.benchmark import BenchmarkConfig
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.sdxl.files.geometry import SDXL_UNET, SDXL_UNET_WEIGHTS, SDXL_VAE, shapes_of, vae_shapes_of
from spritelora.sdxl.latents import decoded_image
from spritelora.sdxl.text import text_shapes_of
from spritelora.training.memory.need import FULL_SIZE, Geometry
from spritelora.training.memory.prediction import Plan, RunShapes
from spritelora.training.memory.tracing import Arithmetic

SIDE_PX = 1024
SPRITES = 50
RUN_STEPS = 3000


def project(config: BenchmarkConfig) -> Figures:
    """Seconds of a step, an epoch, a run and images on a chip of `chip_tflop_per_s` and `chip_gb_per_s`.

    Each is the larger of its arithmetic at the `share` of the chip's matrix rate, and its weights through memory once
    a pass; bf16, without gradient checkpointing.
    """
    rate, batch = config.chip_tflop_per_s * config.share, config.batch_size
    encoded = random_set(SDXL_UNET, SIDE_PX)
    step_tflop = count_tflop(SDXL_UNET, config.targets, config.rank, encoded, batch)
    weights_s = 2 * SDXL_UNET_WEIGHTS / 1e9 / config.chip_gb_per_s
    step_s = max(step_tflop / rate, 2 * weights_s)
    calls = 2 if config.guidance > 1 else 1
    one_image_tflop = config.sampling_steps * calls * tflop_of_forward(shapes_of(SDXL_UNET), encoded) + decoding_tflop()
    figures = {
        "step_s": step_s,
        f"epoch_of_{SPRITES}_min": step_s * SPRITES / batch / 60,
        f"run_of_{RUN_STEPS}_steps_h": step_s * RUN_STEPS / 3600,
        "image_s": max(one_image_tflop / rate, config.sampling_steps * weights_s),
        "ten_images_s": max(10 * one_image_tflop / rate, config.sampling_steps * weights_s),
        "peak_gb": _shapes(config).use(Plan(BaseFormat.full, False, batch)).peak_gb,
    }
    return {
        "mode": "project",
        "chip_tflop_per_s": config.chip_tflop_per_s,
        "chip_gb_per_s": config.chip_gb_per_s,
        "share": config.share,
        "resolution": SIDE_PX,
        "batch_size": batch,
        "rank": config.rank,
        "sampling_steps": config.sampling_steps,
        "guidance": config.guidance,
        "tflop_per_step": float(f"{step_tflop:.4g}"),
        "tflop_per_image": float(f"{one_image_tflop:.4g}"),
        **{name: float(f"{value:.3g}") for name, value in figures.items()},
    }


def _shapes(config: BenchmarkConfig) -> RunShapes:
    return shapes_of_run(config, FULL_SIZE, Arithmetic(torch.bfloat16, is_cuda=True), SIDE_PX)


def decoding_tflop() -> float:
    """Arithmetic of SDXL's autoencoder for one image, counted on shapes alone."""
    vae = vae_shapes_of(SDXL_VAE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        decoded_image(vae, torch.zeros(1, 4, SIDE_PX // 8, SIDE_PX // 8, device="meta"))
    return counter.get_total_flops() / 1e12


def shapes_of_run(
    config: BenchmarkConfig, geometry: Geometry, arithmetic: Arithmetic, side_px: int, process: int = 0
) -> RunShapes:
    """The shapes of a training with the settings' LoRA. `process`: bytes that libraries take of the same memory."""
    traced: dict[str, int] = {}

    def make_unet() -> Any:
        unet = torch.nn.Module.to(shapes_of(geometry.unet), arithmetic.base).requires_grad_(False)
        add_lora(unet, match_targets(unet, config.targets), config.rank, config.rank, 0.0, seed=0)  # pyright: ignore
        return unet.train()

    def remember(name: str, compute: Callable[[], int]) -> int:
        if name not in traced:
            traced[name] = compute()
        return traced[name]

    return RunShapes(
        make_unet,
        lambda: vae_shapes_of(geometry.vae),
        lambda: text_shapes_of(geometry.text),
        lambda parameters: torch.optim.AdamW(parameters),
        arithmetic,
        (side_px, side_px),
        process=process,
        remember=remember,
    )
