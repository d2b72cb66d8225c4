"""Samples from a diffusers folder with nothing but diffusers: what anybody who downloads the base would see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from numpy.typing import NDArray

from spritelora.embedded.model.tiny import RESOLUTION_PX


def load_pipeline(folder: Path, device: torch.device) -> Any:
    """Load a folder's pipeline in fp32, without its progress bar."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def draw_images(
    pipeline: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    num_steps: int,
    guidance: float,
    batch_size: int = 32,
    size_px: tuple[int, int] = (RESOLUTION_PX, RESOLUTION_PX),
) -> NDArray[np.uint8]:
    """Draw one image for each prompt and its seed; `size_px`: height and width. Returns (N, height, width, 3)."""
    batches: list[NDArray[np.float32]] = []
    for start in range(0, len(prompts), batch_size):
        chosen = slice(start, start + batch_size)
        drawn = pipeline(
            list(prompts[chosen]),
            height=size_px[0],
            width=size_px[1],
            num_inference_steps=num_steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[chosen]],
            output_type="np",
        )
        batches.append(drawn.images)
    return np.round(np.concatenate(batches) * 255).astype(np.uint8)
