"""LoRA files on a UNet and text encoders in memory, as PEFT's adapters whose strength can be turned, off included."""

import warnings
from collections.abc import Sequence
from typing import cast

from torch import nn

from spritelora.adapters.files.bases import base_of, require_sdxl
from spritelora.adapters.files.changes import DORA, Change
from spritelora.adapters.files.layer_names import TEXT_ENCODERS, path_in
from spritelora.adapters.files.lora_file import LoraFile
from spritelora.adapters.layers.peft_layer import Model, adapted_layers
from spritelora.adapters.layers.placing import copy_change, peft_config, turn
from spritelora.errors import WeightsError


def inject_loras(model: nn.Module, loras: Sequence[LoraFile], base_name: str, part: str = "unet") -> list[str]:
    """Put what every LoRA has of a `part` on its model, switched off; the names of the adapters in their order.

    Raises WeightsError for a LoRA of another base, or of another kind.
    """
    for lora in loras:
        check_fits(model, lora, base_name, part)
    check_together(loras)
    names = [f"lora_{number}" for number in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        changes = {path_in(model, module): change for module, change in changes_of(lora, part).items()}
        if not changes:
            continue
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are meant here
            cast(Model, model).add_adapter(peft_config(changes), adapter_name=name)
        for path, layer in adapted_layers(model).items():
            if path in changes:
                copy_change(layer, name, changes[path])
    model.requires_grad_(False)
    set_strength(model, names, [0.0] * len(names))
    return names


def changes_of(lora: LoraFile, part: str) -> dict[str, Change]:
    """A LoRA's changes of a part of the model, by the modules' whole names."""
    return {name: change for name, change in lora.everything.items() if name.startswith(f"{part}.")}


def changes_text(lora: LoraFile) -> bool:
    """Whether a LoRA changes layers of the text encoders, so that prompts are encoded otherwise."""
    return any(changes_of(lora, part) for part in TEXT_ENCODERS)


def check_fits(model: nn.Module, lora: LoraFile, base_name: str, part: str = "unet") -> None:
    """Raise WeightsError unless all that a LoRA file has of a part are layers of its model, of their shapes."""
    require_sdxl(lora)
    layers = {n: m.weight.shape for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    for name, change in changes_of(lora, part).items():
        shape = layers.get(path_in(model, name))
        if shape is None or change.shape not in (tuple(shape), (shape[0], shape[1:].numel())):
            has = "no such layer" if shape is None else f"{'x'.join(map(str, shape))}"
            raise WeightsError(
                f"{lora.path}: a LoRA for {base_of(lora)}, not for {base_name}: {name} is "
                f"{'x'.join(map(str, change.shape))} in the file, {has} in the model; set model.path to its base"
            )


def set_strength(model: nn.Module, names: Sequence[str], strengths: Sequence[float]) -> None:
    """Turn every adapter to its strength; where all are 0 the model is the base's to the bit, at the base's cost."""
    is_on = any(strengths)
    for layer in adapted_layers(model).values():
        present = [name for name in names if name in layer.r]
        layer.enable_adapters(is_on)
        layer.set_adapter(present)
        for name, strength in zip(names, strengths, strict=True):
            if name in present:
                turn(layer, name, strength)
    model.requires_grad_(False)


def check_together(loras: Sequence[LoraFile]) -> None:
    """Raise WeightsError for files that cannot be drawn with together: other kinds, or a DoRA, which is of one base."""
    kinds = {lora.path: next(iter(lora.everything.values())).kind for lora in loras}
    if len(loras) > 1 and (len(set(kinds.values())) > 1 or DORA in kinds.values()):
        told = ", ".join(f"{path} is a {kind}" for path, kind in kinds.items())
        raise WeightsError(
            f"{told}: several files are drawn with together only where all are LoRA, all LoKr or all LoHa; give one"
        )
