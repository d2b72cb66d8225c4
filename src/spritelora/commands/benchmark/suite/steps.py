"""Seconds, images and memory of training steps, images and encoding; at full size unless a trial is asked for."""

import time
from dataclasses import replace
from typing import Any

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.sampling import measure_sampling, open_vae
from spritelora.commands.benchmark.suite.parts import Setting
from spritelora.commands.benchmark.training import matrix_rate, measure_training
from spritelora.config.commands.benchmark import BenchmarkConfig, BenchmarkMode, BenchmarkOptim
from spritelora.config.train.hardware_keys import BaseFormat, Precision
from spritelora.training.hardware import choose_hardware, peak_memory_gb

KEPT = ("precision", "resolution", "batch_size", "warmup_s", "step_s", "images_per_s", "tflop_per_s",
        "matrix_tflop_per_s", "share_of_matrix_rate", "peak_gb")  # fmt: skip

STEPS: dict[str, dict[str, Any]] = {
    "step_1": {},
    "step_4": {"batch_size": 4},
    "step_2": {"batch_size": 2},
    "step_8": {"batch_size": 8, "gradient_checkpointing": True},
    "step_compiled": {"batch_size": 4, "compile": True},
    "step_recomputed": {"batch_size": 4, "gradient_checkpointing": True},
    "step_nf4": {"base": BaseFormat.nf4},
    "step_int8": {"base": BaseFormat.int8},
    "step_8bit": {"optim": BenchmarkOptim.adamw8bit},
    "step_fp16": {"batch_size": 4, "precision": Precision.fp16},
}
"""Each step's settings beside batch 1, rank 32 on attention, bf16, everything kept."""


def settings_of(name: str, setting: Setting) -> BenchmarkConfig:
    """The settings of one timed step."""
    if setting.is_small:
        size: dict[str, Any] = {"model": "tiny", "resolution": 128, "rounds": 1, "steps": 2, "warmup": 1}
    else:
        size = {"model": "sdxl", "resolution": 1024, "rounds": 3, "steps": 4, "warmup": 3, "precision": Precision.bf16}
    plain = replace(setting.config, mode=BenchmarkMode.train, rank=32, **size)
    return replace(plain, **STEPS[name])


def measure_step(setting: Setting) -> Figures:
    """The figures of one timed step."""
    figures = measure_training(settings_of(setting.part, setting))
    return {column: figures[column] for column in KEPT}


def measure_matrix(setting: Setting) -> Figures:
    """The device's rate of matrix products in each number format."""
    figures: Figures = {}
    for precision in (Precision.bf16, Precision.fp32):
        hardware = choose_hardware(setting.config.device, precision)
        figures[f"{precision.value}_tflop_per_s"] = float(f"{matrix_rate(hardware):.4g}")
    return figures


def measure_images(setting: Setting) -> Figures:
    """Images a second beside a plain diffusers pipeline."""
    if setting.is_small:
        size: dict[str, Any] = {"model": "tiny", "resolution": 128, "sampling_steps": 4, "rounds": 1}
    else:
        size = {"model": "sdxl", "resolution": 1024, "rounds": 2, "precision": Precision.bf16}
    figures = measure_sampling(replace(setting.config, mode=BenchmarkMode.sample, steps=1, warmup=1, **size))
    return {name: figures[name] for name in ("resolution", "images_per_s", "speed_against_diffusers", "peak_gb")}


def measure_encoding(setting: Setting) -> Figures:
    """Images a second through the autoencoder's encoder, in fp32 as in training, and captions through the encoders."""
    import numpy as np

    from spritelora.sdxl.latents import encode_image

    hardware = choose_hardware(setting.config.device, Precision.auto)
    side_px = 128 if setting.is_small else 1024
    vae = open_vae("tiny" if setting.is_small else "sdxl", hardware)
    image = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    encode_image(vae, image, "first")
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 2:
        encode_image(vae, image, "again")  # its result is on the CPU: the device has been waited for
        count += 1
    per_s = count / (time.perf_counter() - started)
    return {
        "resolution": side_px,
        "images_per_s": float(f"{per_s:.4g}"),
        "peak_gb": round(peak_memory_gb(hardware.device), 3),
    }
