"""Images a second, ours and those of a plain diffusers pipeline on the same models, in turn."""

import time
from collections.abc import Callable
from typing import Any

import torch

from spritelora.commands.benchmark.figures import Figures, spread
from spritelora.commands.benchmark.random_inputs import random_text
from spritelora.commands.benchmark.training import matrix_rate, open_unet, settle_side
from spritelora.config.commands.benchmark import GEOMETRIES, BenchmarkConfig
from spritelora.embedded.location import embedded_base
from spritelora.errors import TrainingError, first_line
from spritelora.sdxl.files.base import Autoencoder, find_base, load_vae
from spritelora.sdxl.files.geometry import random_vae
from spritelora.sdxl.latents import decode_latents
from spritelora.sdxl.reference_pipeline import plain_images, sdxl_scheduler
from spritelora.sdxl.sample import Sampling, sample_latents, start_noise
from spritelora.training.hardware import Hardware, choose_hardware, peak_memory_gb


def measure_sampling(config: BenchmarkConfig) -> Figures:
    """Time of a batch of images from random prompt embeddings, ours against diffusers' pipeline."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    hardware = choose_hardware(config.device, config.precision)
    side_px = settle_side(config)
    unet, vae = open_unet(config.model, hardware), open_vae(config.model, hardware)
    sampling = Sampling(sdxl_scheduler(), config.sampling_steps, config.guidance)
    prompts = [random_text(dict(unet.config), i) for i in range(config.batch_size)]
    negative = random_text(dict(unet.config), -1)
    noise = start_noise(0, config.batch_size, side_px)

    def ours() -> Any:
        with torch.autocast(hardware.device.type, hardware.base_dtype, hardware.base_dtype != torch.float32):
            latents = sample_latents(unet, sampling, prompts, negative, noise)
        return decode_latents(vae, latents)

    def plain() -> Any:
        return plain_images(unet, vae, sampling, prompts, negative, noise)

    try:
        times = _in_turn({"ours": ours, "diffusers": plain}, config)
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(f"out of GPU memory ({first_line(error)}); try batch_size=1") from error
    batch_s = {name: spread([s / config.steps for s in seconds]) for name, seconds in times.items()}
    return {
        "mode": "sample",
        "model": config.model,
        "hardware": hardware.name,
        "precision": hardware.precision.value,
        "resolution": side_px,
        "batch_size": config.batch_size,
        "sampling_steps": config.sampling_steps,
        "guidance": config.guidance,
        "batch_s": batch_s,
        "images_per_s": {n: float(f"{config.batch_size / s['median']:.4g}") for n, s in batch_s.items()},
        "speed_against_diffusers": spread([b / a for a, b in zip(times["ours"], times["diffusers"], strict=True)]),
        "matrix_tflop_per_s": float(f"{matrix_rate(hardware):.4g}"),
        "peak_gb": round(peak_memory_gb(hardware.device), 3),
    }


def open_vae(model: str, hardware: Hardware) -> Autoencoder:
    """The autoencoder of a model in fp32 on the device; of `sdxl` with random weights."""
    if model == "sdxl":
        return random_vae(hardware.device)
    return load_vae(find_base(str(embedded_base()) if model in GEOMETRIES else model), hardware.device)


def _in_turn(drawers: dict[str, Callable[[], object]], config: BenchmarkConfig) -> dict[str, list[float]]:
    """Seconds of each round of each drawer, taken in turn so that a busy machine slows all alike."""
    for draw in drawers.values():
        for _ in range(config.warmup):
            draw()
    times: dict[str, list[float]] = {name: [] for name in drawers}
    for _ in range(config.rounds):
        for name, draw in drawers.items():
            _wait()
            started = time.perf_counter()
            for _ in range(config.steps):
                draw()
            _wait()
            times[name].append(time.perf_counter() - started)
    return times


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
