"""A LoRA file added to a UNet's own weights."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from spritelora.adapters.lora_file import read_lora_file
from spritelora.adapters.lowrank import full_delta
from spritelora.errors import WeightsError


@torch.no_grad()
def apply_lora(unet: UNet2DConditionModel, path: Path, strength: float) -> int:
    """Add `strength` times the changes of a LoRA file of any form to the weights. Returns the number of layers changed.

    Raises WeightsError for what is no LoRA, holds more than one of a UNet, or is one of another base.
    """
    lora = read_lora_file(path)
    left_out = sorted({*lora.unknown, *lora.other_kinds, *(m for m in lora.modules if not m.startswith("unet."))})
    if left_out:
        raise WeightsError(
            f"{path}: {len(left_out)} of its parts are no LoRA of a UNet, such as {left_out[0]}; "
            f"scripts/lora.py mode=inspect says what it holds"
        )
    layers = {f"unet.{n}": m for n, m in unet.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    strange = [
        name
        for name, change in lora.modules.items()
        if name not in layers or tuple(layers[name].weight.shape) != tuple(change.shape)
    ]
    if strange:
        raise WeightsError(
            f"{path}: a LoRA of another base: {len(strange)} of its {len(lora.modules)} layers do not fit this model, "
            f"such as {strange[0]}; name its own base with model.path="
        )
    for name, change in lora.modules.items():
        weight = layers[name].weight
        weight.copy_((weight.float() + strength * full_delta(change).to(weight.device)).to(weight.dtype))  # pyright: ignore
    return len(lora.modules)
