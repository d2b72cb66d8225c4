"""The file a person copies into ComfyUI: written only after its keys and its weights are proven."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save
from torch import Tensor

from spritelora.adapters.kohya import kohya_module, original_path
from spritelora.adapters.lora import factors, live_delta, lora_layers
from spritelora.errors import WeightsError

HALF_STEP = {torch.float16: 2.0**-25, torch.bfloat16: 0.0, torch.float32: 0.0}
"""The rounding error of numbers near zero: fp16 has no smaller steps than 2^-24."""


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


def kohya_tensors(unet: UNet2DConditionModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """The adapter in kohya's form: down, up and alpha of every layer, on the CPU."""
    tensors: dict[str, Tensor] = {}
    names = kohya_names(unet)
    for path, layer in lora_layers(unet).items():
        down, up, alpha = factors(layer)
        tensors[f"{names[path]}.lora_down.weight"] = down.to("cpu", dtype, copy=True).contiguous()
        tensors[f"{names[path]}.lora_up.weight"] = up.to("cpu", dtype, copy=True).contiguous()
        tensors[f"{names[path]}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
    return tensors


def file_delta(tensors: Mapping[str, Tensor], module: str) -> Tensor:
    """What a program that reads the file adds to a layer's weight: up * down * alpha / rank, fp32."""
    down = tensors[f"{module}.lora_down.weight"].float()
    up = tensors[f"{module}.lora_up.weight"].float()
    scale = float(tensors[f"{module}.alpha"]) / down.shape[0]
    return (up.flatten(1) @ down.flatten(1)).view(up.shape[0], *down.shape[1:]) * scale


def prove_export(unet: UNet2DConditionModel, tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless the tensors hold the live model's deltas, all of them and no others.

    The difference may be what rounding to the file's number format explains.
    """
    names = kohya_names(unet)
    expected = {f"{name}.{end}" for name in names.values() for end in ("lora_down.weight", "lora_up.weight", "alpha")}
    if expected != set(tensors):
        raise WeightsError(f"export refused: keys differ from the adapter's: {sorted(expected ^ set(tensors))[:3]}")
    for path, layer in lora_layers(unet).items():
        live = live_delta(layer).cpu()
        if not torch.isfinite(live).all() or not torch.isfinite(file_delta(tensors, names[path])).all():
            raise WeightsError(f"export refused: the adapter of {path} holds values that are not finite")
        difference = float((file_delta(tensors, names[path]) - live).norm())
        if not difference <= _rounding_bound(tensors, names[path], float(live.norm())):
            raise WeightsError(
                f"export refused: the file's delta of {path} differs from the live model's by {difference:.3g}"
            )


def _rounding_bound(tensors: Mapping[str, Tensor], module: str, live_norm: float) -> float:
    """The largest distance that rounding both factors to the file's number format can cause."""
    down, up = tensors[f"{module}.lora_down.weight"], tensors[f"{module}.lora_up.weight"]
    scale = float(tensors[f"{module}.alpha"]) / down.shape[0]
    down_norm, up_norm = float(down.float().norm()), float(up.float().norm())
    relative = 2 * torch.finfo(down.dtype).eps * down_norm * up_norm
    near_zero = HALF_STEP[down.dtype] * (up.numel() ** 0.5 * down_norm + down.numel() ** 0.5 * up_norm)
    return scale * (relative + near_zero) + 1e-6 * live_norm


def write_lora(file: Path, unet: UNet2DConditionModel, dtype: torch.dtype, metadata: Mapping[str, str]) -> None:
    """Write the adapter as kohya's safetensors with metadata, after the proof."""
    tensors = kohya_tensors(unet, dtype)
    prove_export(unet, tensors)
    digest = tensor_hash(tensors)
    hashes = {"sshs_model_hash": digest, "sshs_legacy_hash": digest[:8], "modelspec.hash_sha256": f"0x{digest}"}
    file.write_bytes(save(tensors, metadata={**metadata, **hashes}))


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
