"""The file a person copies into ComfyUI: written only after its keys and its weights are proven."""

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from spritelora.adapters.files.changes import Change, Decomposed, difference, parts_of, rounding_error
from spritelora.adapters.files.formats import kohya_tensors, write_file
from spritelora.adapters.files.kohya import kohya_module, original_path
from spritelora.adapters.files.lora_file import read_module
from spritelora.adapters.layers.live import live_change, live_changes, live_delta
from spritelora.adapters.layers.peft_layer import AdaptedLayer, adapted_layers, base_weight
from spritelora.errors import WeightsError


def kohya_names(unet: UNet2DConditionModel) -> dict[str, str]:
    """kohya's module name of every adapted layer, by its path in the UNet.

    Raises WeightsError where a layer has no original name or two would share one.
    """
    layers_per_block = unet.config["layers_per_block"]
    attention = frozenset(i for i, kind in enumerate(unet.config["up_block_types"]) if "CrossAttn" in kind)
    names = {path: kohya_module(original_path(path, layers_per_block, attention)) for path in adapted_layers(unet)}
    if len(set(names.values())) != len(names):
        raise WeightsError("two adapted layers share one name in SDXL's original checkpoint")
    return names


def adapter_tensors(unet: UNet2DConditionModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """The adapter in kohya's form."""
    return kohya_tensors(live_changes(unet), kohya_names(unet), dtype)


def file_change(tensors: Mapping[str, Tensor], module: str) -> Change:
    """The change of a module as a program that reads the file finds it."""
    return read_module({key: t for key, t in tensors.items() if key.startswith(f"{module}.")}, module)


def prove_export(unet: UNet2DConditionModel, tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless the tensors hold the live model's deltas, all of them and no others."""
    prove_layers(adapted_layers(unet), kohya_names(unet), tensors)


def prove_layers(layers: Mapping[str, AdaptedLayer], names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless the tensors hold the deltas of these layers, all of them and no others.

    `names`: kohya's, by the layers' own. The difference may be what rounding to the file's number format explains.
    """
    expected = {f"{names[path]}.{end}" for path, layer in layers.items() for end in parts_of(live_change(layer))}
    if expected != set(tensors):
        raise WeightsError(f"export refused: keys differ from the adapter's: {sorted(expected ^ set(tensors))[:3]}")
    by_module: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        by_module.setdefault(key.partition(".")[0], {})[key] = tensor
    for path, layer in layers.items():
        live, weight = live_delta(layer).cpu(), base_weight(layer).detach()
        if not weight.is_floating_point():  # quantised, where only plain LoRA goes, whose change needs no weight
            weight = live
        change = read_module(by_module[names[path]], names[path])
        written = difference(change, weight).cpu()
        if not torch.isfinite(live).all() or not torch.isfinite(written).all():
            raise WeightsError(f"export refused: the adapter of {path} holds values that are not finite")
        far = float((written - live).norm())
        rounded = rounding_error(change, weight, next(iter(parts_of(change).values())).dtype)
        added_to = live + weight.cpu() if isinstance(change, Decomposed) else live  # which fp32 rounds
        if not far <= rounded + 1e-6 * float(added_to.norm()):
            raise WeightsError(f"export refused: the file's delta of {path} differs from the live model's by {far:.3g}")


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
