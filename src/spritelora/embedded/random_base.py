"""SDXL bases of random weights on disk, to time and try at full size what no download is needed for."""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from spritelora.embedded.location import embedded_base
from spritelora.files import JsonObject
from spritelora.sdxl.files.geometry import (
    SDXL_SCHEDULER,
    SDXL_TEXT,
    SDXL_TEXT_2,
    SDXL_UNET,
    SDXL_VAE,
    random_unet,
    randomise,
)

CPU = torch.device("cpu")


@torch.no_grad()
def write_random_base(
    folder: Path,
    device: torch.device = CPU,
    unet: JsonObject = SDXL_UNET,
    vae: JsonObject = SDXL_VAE,
    text: JsonObject = SDXL_TEXT,
    text_2: JsonObject = SDXL_TEXT_2,
) -> JsonObject:
    """Write a diffusers folder of random fp16 models with the embedded base's tokenizers. Returns the models by name.

    `device`: where the weights are made. At full size the folder takes 7 GB.
    """
    kinds = {"text_encoder": (CLIPTextModel, text), "text_encoder_2": (CLIPTextModelWithProjection, text_2)}
    models: JsonObject = {"unet": random_unet(unet, device, torch.float16)}
    with device:
        models["vae"] = randomise(AutoencoderKL(**vae)).half()
        models |= {name: randomise(kind(CLIPTextConfig(**config))).half() for name, (kind, config) in kinds.items()}
    for name, model in models.items():
        model.save_pretrained(folder / name)
    EulerDiscreteScheduler(**SDXL_SCHEDULER).save_pretrained(folder / "scheduler")
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(embedded_base() / name, folder / name)
    shutil.copy(embedded_base() / "model_index.json", folder)
    return models
