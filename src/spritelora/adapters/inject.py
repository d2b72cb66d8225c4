"""LoRA files on a UNet in memory, as PEFT's adapters whose strength can be turned, off included."""

import warnings
from collections.abc import Sequence

from diffusers import UNet2DConditionModel
from torch import nn

from spritelora.adapters.bases import base_of, require_sdxl
from spritelora.adapters.changes import DORA
from spritelora.adapters.lora import adapted_layers
from spritelora.adapters.lora_file import LoraFile
from spritelora.adapters.placing import copy_change, peft_config, turn
from spritelora.errors import WeightsError

UNET = "unet."


def inject_loras(unet: UNet2DConditionModel, loras: Sequence[LoraFile], base_name: str) -> list[str]:
    """Put every LoRA on the UNet, switched off, and return the names of the adapters in their order.

    Raises WeightsError for a LoRA of another base, of another kind, or of the text encoders too.
    """
    for lora in loras:
        check_fits(unet, lora, base_name)
    check_together(loras)
    names = [f"lora_{number}" for number in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        changes = {path.removeprefix(UNET): change for path, change in lora.everything.items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are meant here
            unet.add_adapter(peft_config(changes), adapter_name=name)
        for path, layer in adapted_layers(unet).items():
            if path in changes:
                copy_change(layer, name, changes[path])
    unet.requires_grad_(False)
    set_strength(unet, names, [0.0] * len(names))
    return names


def check_fits(unet: UNet2DConditionModel, lora: LoraFile, base_name: str) -> None:
    """Raise WeightsError unless every module of a LoRA file is a layer of this UNet, of that layer's shape."""
    require_sdxl(lora)
    layers = {n: m.weight.shape for n, m in unet.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    text = sum(not name.startswith(UNET) for name in lora.everything)
    if text:
        raise WeightsError(
            f"{lora.path}: changes {text} layers of the text encoders too, which are drawn here as the base has them; "
            f"give a LoRA of the UNet alone"
        )
    for name, change in lora.everything.items():
        shape = layers.get(name.removeprefix(UNET))
        if shape is None or change.shape not in (tuple(shape), (shape[0], shape[1:].numel())):
            has = "no such layer" if shape is None else f"{'x'.join(map(str, shape))}"
            raise WeightsError(
                f"{lora.path}: a LoRA for {base_of(lora)}, not for {base_name}: {name} is "
                f"{'x'.join(map(str, change.shape))} in the file, {has} in the model; set model.path to its base"
            )


def set_strength(unet: nn.Module, names: Sequence[str], strengths: Sequence[float]) -> None:
    """Turn every adapter to its strength; where all are 0 the UNet is the base's to the bit, at the base's cost."""
    is_on = any(strengths)
    for layer in adapted_layers(unet).values():
        present = [name for name in names if name in layer.r]  # pyright: ignore
        layer.enable_adapters(is_on)  # pyright: ignore
        layer.set_adapter(present)  # pyright: ignore
        for name, strength in zip(names, strengths, strict=True):
            if name in present:
                turn(layer, name, strength)
    unet.requires_grad_(False)


def check_together(loras: Sequence[LoraFile]) -> None:
    """Raise WeightsError for files that cannot be drawn with together: other kinds, or a DoRA, which is of one base."""
    kinds = {lora.path: next(iter(lora.everything.values())).kind for lora in loras}
    if len(loras) > 1 and (len(set(kinds.values())) > 1 or DORA in kinds.values()):
        told = ", ".join(f"{path} is a {kind}" for path, kind in kinds.items())
        raise WeightsError(
            f"{told}: several files are drawn with together only where all are LoRA, all LoKr or all LoHa; give one"
        )
