"""A LoRA file in kohya's form added to a UNet's own weights."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from spritelora.adapters.export import file_delta
from spritelora.adapters.kohya import PREFIX, kohya_module, original_path
from spritelora.errors import WeightsError, first_line

ENDINGS = (".lora_down.weight", ".lora_up.weight", ".alpha")


@torch.no_grad()
def merge_kohya(unet: UNet2DConditionModel, file: Path, strength: float) -> int:
    """Add `strength` times the deltas of a file to the weights. Returns the number of layers changed.

    Raises WeightsError for what is no kohya LoRA, or one of another base.
    """
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{file}: cannot be read as a LoRA ({first_line(error)}); give a .safetensors file"
        ) from error
    modules = sorted({name.removesuffix(end) for name in tensors for end in ENDINGS if name.endswith(end)})
    expected = {f"{module}{end}" for module in modules for end in ENDINGS}
    if not modules or expected != set(tensors) or not all(m.startswith(PREFIX) for m in modules):
        example = min(expected ^ set(tensors) or set(tensors), default="no tensors")
        raise WeightsError(
            f"{file}: not a LoRA of a UNet in kohya's form ({example}); give the lora.safetensors of a checkpoint"
        )
    layers = _layers_by_name(unet)
    unknown = [m for m in modules if m not in layers]
    if unknown:
        raise WeightsError(
            f"{file}: a LoRA of another base: {len(unknown)} of its {len(modules)} layers are not in this model, "
            f"such as {unknown[0]}; name its own base with model.path="
        )
    deltas = {m: file_delta(tensors, m) if _is_consistent(tensors, m) else None for m in modules}
    for module, delta in deltas.items():
        wanted = tuple(layers[module].weight.shape)
        if delta is None or tuple(delta.shape) != wanted:
            raise WeightsError(
                f"{file}: a LoRA of another base: {module} changes "
                f"{'nothing whole' if delta is None else tuple(delta.shape)}, and this model has {wanted} there; "
                f"name its own base with model.path="
            )
    for module, delta in deltas.items():
        weight = layers[module].weight
        weight.copy_((weight.float() + strength * delta.to(weight.device)).to(weight.dtype))  # pyright: ignore
    return len(modules)


def _is_consistent(tensors: dict[str, torch.Tensor], module: str) -> bool:
    down, up = tensors[f"{module}.lora_down.weight"], tensors[f"{module}.lora_up.weight"]
    return down.ndim >= 2 and up.ndim >= 2 and down.shape[0] == up.shape[1] > 0


def _layers_by_name(unet: UNet2DConditionModel) -> dict[str, nn.Linear | nn.Conv2d]:
    per_block = unet.config["layers_per_block"]
    attention = frozenset(i for i, kind in enumerate(unet.config["up_block_types"]) if "CrossAttn" in kind)
    return {
        kohya_module(original_path(path, per_block, attention)): module
        for path, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
