"""The file a person copies into ComfyUI: written only after its keys and its weights are proven."""

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor

from spritelora.adapters.formats import kohya_tensors, rounding_bound, write_file
from spritelora.adapters.kohya import kohya_module, original_path
from spritelora.adapters.lora import factors, live_delta, lora_layers
from spritelora.adapters.lowrank import LowRank, full_delta
from spritelora.errors import WeightsError


def kohya_names(unet: UNet2DConditionModel) -> dict[str, str]:
    """kohya's module name of every adapted layer, by its path in the UNet.

    Raises WeightsError where a layer has no original name or two would share one.
    """
    layers_per_block = unet.config["layers_per_block"]
    attention = frozenset(i for i, kind in enumerate(unet.config["up_block_types"]) if "CrossAttn" in kind)
    names = {path: kohya_module(original_path(path, layers_per_block, attention)) for path in lora_layers(unet)}
    if len(set(names.values())) != len(names):
        raise WeightsError("two adapted layers share one name in SDXL's original checkpoint")
    return names


def live_changes(unet: UNet2DConditionModel) -> dict[str, LowRank]:
    """The adapter's factors by the layer's path in the UNet."""
    return {path: LowRank(*factors(layer)) for path, layer in lora_layers(unet).items()}


def adapter_tensors(unet: UNet2DConditionModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """The adapter in kohya's form."""
    return kohya_tensors(live_changes(unet), kohya_names(unet), dtype)


def file_change(tensors: Mapping[str, Tensor], module: str) -> LowRank:
    """What a program that reads the file adds to a layer's weight."""
    down, up = tensors[f"{module}.lora_down.weight"], tensors[f"{module}.lora_up.weight"]
    return LowRank(down, up, float(tensors[f"{module}.alpha"]))


def prove_export(unet: UNet2DConditionModel, tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless the tensors hold the live model's deltas, all of them and no others."""
    prove_layers(lora_layers(unet), kohya_names(unet), tensors)


def prove_layers(layers: Mapping[str, LoraLayer], names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless the tensors hold the deltas of these layers, all of them and no others.

    `names`: kohya's, by the layers' own. The difference may be what rounding to the file's number format explains.
    """
    expected = {f"{name}.{end}" for name in names.values() for end in ("lora_down.weight", "lora_up.weight", "alpha")}
    if expected != set(tensors):
        raise WeightsError(f"export refused: keys differ from the adapter's: {sorted(expected ^ set(tensors))[:3]}")
    for path, layer in layers.items():
        live = live_delta(layer).cpu()
        change = file_change(tensors, names[path])
        written = full_delta(change)
        if not torch.isfinite(live).all() or not torch.isfinite(written).all():
            raise WeightsError(f"export refused: the adapter of {path} holds values that are not finite")
        difference = float((written - live).norm())
        if not difference <= rounding_bound(change, change.down.dtype) + 1e-6 * float(live.norm()):
            raise WeightsError(
                f"export refused: the file's delta of {path} differs from the live model's by {difference:.3g}"
            )


def write_lora(
    file: Path,
    unet: UNet2DConditionModel,
    dtype: torch.dtype,
    metadata: Mapping[str, str],
    of_text: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the adapter as kohya's safetensors with metadata, after the proof.

    `of_text`: the text encoders' part in the same form, proven too.
    """
    tensors = adapter_tensors(unet, dtype)
    prove_export(unet, tensors)
    write_file(file, {**tensors, **(of_text or {})}, metadata)
