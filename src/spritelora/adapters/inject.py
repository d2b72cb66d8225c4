"""LoRA files on a UNet in memory, as PEFT's adapters whose strength can be turned, off included."""

import warnings
from collections.abc import Sequence

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from torch import nn

from spritelora.adapters.bases import base_of, require_sdxl
from spritelora.adapters.formats import peft_settings
from spritelora.adapters.lora import lora_layers
from spritelora.adapters.lora_file import LoraFile
from spritelora.adapters.lowrank import LowRank
from spritelora.errors import WeightsError

UNET = "unet."


def inject_loras(unet: UNet2DConditionModel, loras: Sequence[LoraFile], base_name: str) -> list[str]:
    """Put every LoRA on the UNet, switched off, and return the names of the adapters in their order.

    Raises WeightsError for a LoRA of another base, of another kind, or of the text encoders too.
    """
    for lora in loras:
        check_fits(unet, lora, base_name)
    names = [f"lora_{number}" for number in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        modules = {path.removeprefix(UNET): change for path, change in lora.modules.items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are meant here
            unet.add_adapter(LoraConfig(**peft_settings(modules)), adapter_name=name)
        _copy_factors(unet, name, modules)
    unet.requires_grad_(False)
    set_strength(unet, names, [0.0] * len(names))
    return names


def check_fits(unet: UNet2DConditionModel, lora: LoraFile, base_name: str) -> None:
    """Raise WeightsError unless every module of a LoRA file is a layer of this UNet, of that layer's shape."""
    require_sdxl(lora)
    layers = {n: m.weight.shape for n, m in unet.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    text = sum(not name.startswith(UNET) for name in lora.modules)
    if text:
        raise WeightsError(
            f"{lora.path}: changes {text} layers of the text encoders too, which are drawn here as the base has them; "
            f"give a LoRA of the UNet alone"
        )
    for name, change in lora.modules.items():
        shape = layers.get(name.removeprefix(UNET))
        if shape is None or tuple(shape) != change.shape:
            has = "no such layer" if shape is None else f"{'x'.join(map(str, shape))}"
            raise WeightsError(
                f"{lora.path}: a LoRA for {base_of(lora)}, not for {base_name}: {name} is "
                f"{'x'.join(map(str, change.shape))} in the file, {has} in the model; set model.path to its base"
            )


def set_strength(unet: nn.Module, names: Sequence[str], strengths: Sequence[float]) -> None:
    """Turn every adapter to its strength; where all are 0 the UNet is the base's to the bit, at the base's cost."""
    is_on = any(strengths)
    for layer in lora_layers(unet).values():
        present = [name for name in names if name in layer.lora_A]
        layer.enable_adapters(is_on)  # pyright: ignore
        layer.set_adapter(present)  # pyright: ignore
        for name, strength in zip(names, strengths, strict=True):
            if name in present:
                layer.set_scale(name, strength)  # pyright: ignore
    unet.requires_grad_(False)


@torch.no_grad()
def _copy_factors(unet: nn.Module, name: str, modules: dict[str, LowRank]) -> None:
    """Put a file's numbers into an adapter's layers, in fp32."""
    layers = lora_layers(unet)
    for path, change in modules.items():
        for half, values in ((layers[path].lora_A[name], change.down), (layers[path].lora_B[name], change.up)):
            weight: torch.Tensor = half.weight  # pyright: ignore
            half.weight = nn.Parameter(values.float().view(weight.shape).to(weight.device))
