"""The base and the sprites that the runs here were trained on, the same bytes on every machine.

`python -m tests.runs.before.base FOLDER` writes both, as FOLDER/base and FOLDER/sprites.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors.numpy import save_file
from tests.checkpoints import SMALL_TEXT, SMALL_TEXT_2, SMALL_UNET, SMALL_VAE, write_tokenizers
from tests.conftest import draw_sprite
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from spritelora.embedded.location import embedded_base
from spritelora.sdxl.files.geometry import SDXL_SCHEDULER

NUM_SPRITES = 12


def write_base(folder: Path, seed: int = 0) -> Path:
    """A small SDXL of random weights as a diffusers folder. No library's version shows in its bytes."""
    rng = np.random.default_rng(seed)
    parts: dict[str, tuple[Any, dict[str, Any], str]] = {
        "unet": (UNet2DConditionModel, {**SMALL_UNET, "in_channels": 4}, "diffusion_pytorch_model"),
        "vae": (AutoencoderKL, SMALL_VAE, "diffusion_pytorch_model"),
        "text_encoder": (CLIPTextModel, SMALL_TEXT, "model"),
        "text_encoder_2": (CLIPTextModelWithProjection, SMALL_TEXT_2, "model"),
    }
    for name, (kind, settings, stem) in parts.items():
        with torch.device("meta"):
            model = kind(CLIPTextConfig(**settings)) if name.startswith("text") else kind(**settings)
        shapes = {n: tuple(p.shape) for n, p in model.named_parameters()}
        (folder / name).mkdir(parents=True)
        weights = {n: _weights(n, shapes[n], rng) for n in sorted(shapes)}
        save_file(weights, folder / name / f"{stem}.safetensors", {"format": "pt"})
        config = {**settings, "_class_name": kind.__name__, "architectures": [kind.__name__]}
        (folder / name / "config.json").write_text(json.dumps(config, sort_keys=True))
    (folder / "scheduler").mkdir()
    scheduler = {**SDXL_SCHEDULER, "_class_name": "EulerDiscreteScheduler"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, sort_keys=True))
    write_tokenizers(folder)
    shutil.copy(embedded_base() / "model_index.json", folder)
    return folder


def _weights(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform matrices that keep a signal's size, biases 0, norms the identity."""
    if len(shape) > 1:
        return ((rng.random(shape) * 2 - 1) * np.sqrt(3 / np.prod(shape[1:]))).astype(np.float16)
    return np.full(shape, name.endswith("weight"), np.float16)


def write_sprites(folder: Path) -> Path:
    """The captioned sprites."""
    folder.mkdir(parents=True)
    for i in range(NUM_SPRITES):
        Image.fromarray(draw_sprite(i)).save(folder / f"sprite_{i:02d}.png")
        (folder / f"sprite_{i:02d}.txt").write_text(f"pixel art, potion number {i}\n")
    return folder


if __name__ == "__main__":
    write_base(Path(sys.argv[1]) / "base")
    write_sprites(Path(sys.argv[1]) / "sprites")
