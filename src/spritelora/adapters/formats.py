"""Factors written as a LoRA file in kohya's, diffusers' or PEFT's form."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from spritelora.adapters.lora_file import ADAPTER_METADATA, PEFT_CONFIG, PEFT_WEIGHTS, Form, LoraFile, parse_lora
from spritelora.adapters.lowrank import LowRank, distance
from spritelora.adapters.names import kohya_by_module
from spritelora.config.adapter_keys import SaveDtype
from spritelora.errors import WeightsError
from spritelora.files import write_whole

Modules = Mapping[str, LowRank]

SAVE_DTYPE = {SaveDtype.fp16: torch.float16, SaveDtype.bf16: torch.bfloat16, SaveDtype.fp32: torch.float32}

HALF_STEP = {torch.float16: 2.0**-25, torch.bfloat16: 0.0, torch.float32: 0.0}
"""The rounding error of numbers near zero: fp16 has no smaller steps than 2^-24."""


def kohya_tensors(modules: Modules, names: Mapping[str, str], dtype: torch.dtype) -> dict[str, Tensor]:
    """kohya's form: down, up and alpha of every module, under the name that `names` gives it."""
    tensors: dict[str, Tensor] = {}
    for module, change in modules.items():
        rounded = change.to(dtype)
        tensors[f"{names[module]}.lora_down.weight"] = rounded.down
        tensors[f"{names[module]}.lora_up.weight"] = rounded.up
        tensors[f"{names[module]}.alpha"] = torch.tensor(change.alpha, dtype=torch.float32)
    return tensors


def factor_tensors(modules: Modules, prefix: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """What diffusers' and PEFT's forms share: `lora_A` and `lora_B` of every module; alphas stand elsewhere."""
    rounded = {module: change.to(dtype) for module, change in modules.items()}
    downs = {f"{prefix}{module}.lora_A.weight": change.down for module, change in rounded.items()}
    return {**downs, **{f"{prefix}{module}.lora_B.weight": change.up for module, change in rounded.items()}}


def peft_settings(modules: Modules) -> dict[str, Any]:
    """The LoraConfig that gives `modules`, named by their path, their ranks and alphas."""
    rank, _ = Counter(change.rank for change in modules.values()).most_common(1)[0]
    alpha, _ = Counter(change.alpha for change in modules.values()).most_common(1)[0]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {path: change.rank for path, change in modules.items() if change.rank != rank},
        "alpha_pattern": {path: change.alpha for path, change in modules.items() if change.alpha != alpha},
        "target_modules": sorted(modules),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_dora": False,
        "use_rslora": False,
    }


def write_form(output: Path, form: Form, modules: Modules, dtype: torch.dtype, metadata: Mapping[str, str]) -> None:
    """Write modules as a file, in PEFT's form as a folder, after the proof that its changes read back as these.

    Raises WeightsError where a form cannot hold them, or rounding changes more than it may.
    """
    tensors, own, config = encode(form, modules, dtype)
    prove_read_back(parse_lora(output, tensors, own, config), modules, dtype)
    file = output if config is None else output / PEFT_WEIGHTS
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, tensors, {**metadata, **own})
        if config is not None:
            config["base_model_name_or_path"] = metadata.get("ss_sd_model_name")
            write_whole(output / PEFT_CONFIG, json.dumps(config, indent=2) + "\n")
    except OSError as error:
        raise WeightsError(
            f"{output}: cannot be written ({error.strerror}); name another place with output="
        ) from error


def encode(
    form: Form, modules: Modules, dtype: torch.dtype
) -> tuple[dict[str, Tensor], dict[str, str], dict[str, Any] | None]:
    """Tensors, the metadata that readers of the form need, and in PEFT's form the content of adapter_config.json."""
    if form is Form.kohya:
        return kohya_tensors(modules, kohya_by_module(), dtype), {}, None
    if form is Form.diffusers:
        settings = {
            f"{part}.{key}": value
            for part in sorted({name.partition(".")[0] for name in modules})
            for key, value in peft_settings(_of_part(modules, part)).items()
        }
        own = {"format": "pt", ADAPTER_METADATA: json.dumps(settings, indent=2, sort_keys=True)}
        return factor_tensors(modules, "", dtype), own, None
    paths = _of_part(modules, "unet")
    if len(paths) < len(modules):
        raise WeightsError(
            f"PEFT's form is of one model, and this LoRA changes {len(modules) - len(paths)} text-encoder layers too; "
            f"use format=kohya or format=diffusers"
        )
    config = {"peft_type": "LORA", "task_type": None, "inference_mode": True, **peft_settings(paths)}
    return factor_tensors(paths, "base_model.model.", dtype), {"format": "pt"}, config


def write_file(file: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata with the hashes that model browsers know a file by."""
    digest = tensor_hash(tensors)
    hashes = {"sshs_model_hash": digest, "sshs_legacy_hash": digest[:8], "modelspec.hash_sha256": f"0x{digest}"}
    write_whole(file, save(tensors, metadata={**metadata, **hashes}))


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def rounding_bound(change: LowRank, dtype: torch.dtype) -> float:
    """The largest distance that rounding both factors to a number format can cause."""
    down_norm, up_norm = float(change.down.float().norm()), float(change.up.float().norm())
    relative = 2 * torch.finfo(dtype).eps * down_norm * up_norm
    near_zero = HALF_STEP[dtype] * (change.up.numel() ** 0.5 * down_norm + change.down.numel() ** 0.5 * up_norm)
    return abs(change.alpha) / change.rank * (relative + near_zero)


def prove_read_back(written: LoraFile, modules: Modules, dtype: torch.dtype) -> None:
    """Raise WeightsError unless what was encoded holds these changes, as nearly as its number format allows."""
    if written.modules.keys() != modules.keys():
        different = sorted(written.modules.keys() ^ modules.keys())[:3]
        raise WeightsError(f"{written.path}: not written: other layers would be read back: {', '.join(different)}")
    for name, change in modules.items():
        far = distance(written.modules[name], change)
        if not far <= rounding_bound(change, dtype):
            raise WeightsError(
                f"{written.path}: not written: {name} would read back {far:.3g} away from what it is, more than "
                f"rounding to {str(dtype).removeprefix('torch.')} explains; use dtype=fp32"
            )


def _of_part(modules: Modules, part: str) -> dict[str, LowRank]:
    """A part's modules by their paths, or by the ends of these that text encoders of every transformers have."""
    paths = {name.removeprefix(f"{part}."): m for name, m in modules.items() if name.startswith(f"{part}.")}
    return {path.removeprefix("text_model."): m for path, m in paths.items()}
