"""Factors written as a LoRA file in kohya's, diffusers' or PEFT's form."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save
from torch import Tensor

from spritelora.adapters.files.changes import (
    DORA,
    HALF_STEP,
    LOHA,
    Change,
    Decomposed,
    Lycoris,
    parts_of,
    rounding_bound,
)
from spritelora.adapters.files.layer_names import kohya_by_module
from spritelora.adapters.files.lora_file import ADAPTER_METADATA, PEFT_CONFIG, PEFT_WEIGHTS, Form, LoraFile, parse_lora
from spritelora.adapters.files.lowrank import LowRank, distance
from spritelora.adapters.files.metadata import read_network_args
from spritelora.config.train.adapter_keys import SaveDtype
from spritelora.errors import WeightsError
from spritelora.files import JsonObject, write_whole

Modules = Mapping[str, LowRank]
Changes = Mapping[str, Change]
T = TypeVar("T", bound=Change)

PEFT_PREFIX = "base_model.model."

SAVE_DTYPE = {SaveDtype.fp16: torch.float16, SaveDtype.bf16: torch.bfloat16, SaveDtype.fp32: torch.float32}


def kohya_tensors(modules: Changes, names: Mapping[str, str], dtype: torch.dtype) -> dict[str, Tensor]:
    """kohya's form: down, up, alpha and what else a change has, under the name that `names` gives its module."""
    return {
        f"{names[module]}.{end}": tensor
        for module, change in modules.items()
        for end, tensor in parts_of(change.to(dtype)).items()
    }


def factor_tensors(modules: Modules, prefix: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """`lora_A` and `lora_B` of every module, as in diffusers' and PEFT's forms; alphas stand elsewhere."""
    rounded = {module: change.to(dtype) for module, change in modules.items()}
    downs = {f"{prefix}{module}.lora_A.weight": change.down for module, change in rounded.items()}
    return {**downs, **{f"{prefix}{module}.lora_B.weight": change.up for module, change in rounded.items()}}


def peft_settings(modules: Changes) -> JsonObject:
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


def lycoris_settings(modules: Mapping[str, Lycoris], metadata: Mapping[str, str]) -> JsonObject:
    """The LoKrConfig or LoHaConfig that gives `modules`, named by their path, split as their metadata says."""
    shared, told = peft_settings(modules), read_network_args(metadata)
    kept = {key: shared[key] for key in ("r", "rank_pattern", "alpha_pattern", "target_modules")}
    settings = {**kept, "alpha": shared["lora_alpha"], "use_effective_conv2d": told.get("use_tucker") == "True"}
    if next(iter(modules.values())).kind == LOHA:
        return {"peft_type": "LOHA", **settings}
    both = told.get("decompose_both") == "True"
    return {"peft_type": "LOKR", **settings, "decompose_factor": int(told.get("factor", -1)), "decompose_both": both}


def write_form(output: Path, form: Form, modules: Changes, dtype: torch.dtype, metadata: Mapping[str, str]) -> None:
    """Write modules as a file, in PEFT's form as a folder, after the proof that its changes read back as these.

    Raises WeightsError where a form cannot hold them, or rounding changes more than it may.
    """
    tensors, own, config = encode(form, modules, dtype, metadata)
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
    form: Form, modules: Changes, dtype: torch.dtype, metadata: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str], JsonObject | None]:
    """Tensors, the metadata that readers of the form need, and in PEFT's form the content of adapter_config.json."""
    if form is Form.kohya:
        return kohya_tensors(modules, kohya_by_module(), dtype), {}, None
    if form is Form.diffusers:
        plain = _plain(modules)
        settings = {
            f"{part}.{key}": value
            for part in sorted({name.partition(".")[0] for name in modules})
            for key, value in peft_settings(_of_part(plain, part)).items()
        }
        own = {"format": "pt", ADAPTER_METADATA: json.dumps(settings, indent=2, sort_keys=True)}
        return factor_tensors(plain, "", dtype), own, None
    paths = _of_part(modules, "unet")
    if len(paths) < len(modules):
        raise WeightsError(
            f"PEFT's form is of one model, and this LoRA changes {len(modules) - len(paths)} text-encoder layers too; "
            f"use format=kohya or format=diffusers"
        )
    tensors, own_settings = _peft_tensors(paths, dtype, metadata)
    return tensors, {"format": "pt"}, {"peft_type": "LORA", "task_type": None, "inference_mode": True, **own_settings}


def _plain(modules: Changes) -> dict[str, LowRank]:
    """The modules, where all are LoRA."""
    plain = {name: change for name, change in modules.items() if isinstance(change, LowRank)}
    if len(plain) < len(modules):
        kind = next(change.kind for name, change in modules.items() if name not in plain)
        why = "drops dora_scale" if kind == DORA else f"knows no {kind}"
        raise WeightsError(
            f"format=diffusers cannot hold a {kind}: diffusers' loader {why}, and what it draws would be another "
            f"adapter; use format=kohya for ComfyUI, or format=peft"
        )
    return plain


def _peft_tensors(
    paths: Changes, dtype: torch.dtype, metadata: Mapping[str, str]
) -> tuple[dict[str, Tensor], JsonObject]:
    lycoris = {path: change for path, change in paths.items() if isinstance(change, Lycoris)}
    if lycoris:
        tensors = {f"{PEFT_PREFIX}{p}.{end}": t for p, c in lycoris.items() for end, t in c.to(dtype).tensors.items()}
        return tensors, lycoris_settings(lycoris, metadata)
    doras = {path: change for path, change in paths.items() if isinstance(change, Decomposed)}
    if not doras:
        return factor_tensors(_plain(paths), PEFT_PREFIX, dtype), peft_settings(_plain(paths))
    if not all(change.of_changed for change in doras.values()):
        raise WeightsError(
            "format=peft of a DoRA needs the lengths as they were trained, which are in the training_state beside the "
            "file; export from the checkpoint's whole folder"
        )
    factors = {path: change.change for path, change in doras.items()}
    lengths = {f"{PEFT_PREFIX}{p}.lora_magnitude_vector": _peft_lengths(change) for p, change in doras.items()}
    settings = {**peft_settings(factors), "use_dora": True}
    return {**factor_tensors(factors, PEFT_PREFIX, dtype), **lengths}, settings


def _peft_lengths(change: Decomposed) -> Tensor:
    """The lengths in PEFT's shape: a vector, of a convolution with an axis for each of its output's."""
    lengths = change.lengths.float().cpu().contiguous()
    return lengths.view(1, -1, 1, 1) if change.change.down.ndim == 4 else lengths


def write_file(file: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata with the hashes that model browsers know a file by."""
    digest = tensor_hash(tensors)
    hashes = {"sshs_model_hash": digest, "sshs_legacy_hash": digest[:8], "modelspec.hash_sha256": f"0x{digest}"}
    write_whole(file, in_order(save(tensors, metadata={**metadata, **hashes})))


def in_order(content: bytes) -> bytes:
    """The bytes of a safetensors file with its metadata sorted by name, which the library writes in a random order."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def prove_read_back(written: LoraFile, modules: Changes, dtype: torch.dtype) -> None:
    """Raise WeightsError unless what was encoded holds these changes, as nearly as its number format allows."""
    read = written.everything
    if read.keys() != modules.keys():
        different = sorted(read.keys() ^ modules.keys())[:3]
        raise WeightsError(f"{written.path}: not written: other layers would be read back: {', '.join(different)}")
    for name, change in modules.items():
        far, allowed = _read_back_distance(read[name], change, dtype)
        if not far <= allowed:
            raise WeightsError(
                f"{written.path}: not written: {name} would read back {far:.3g} away from what it is, more than "
                f"rounding to {str(dtype).removeprefix('torch.')} explains; use dtype=fp32"
            )


def _read_back_distance(read: Change, change: Change, dtype: torch.dtype) -> tuple[float, float]:
    """Distance of the change read from the one encoded, and the one that rounding allows; by tensor for no LoRA."""
    if isinstance(read, LowRank) and isinstance(change, LowRank):
        return distance(read, change), rounding_bound(change, dtype)
    ours, theirs = parts_of(change), parts_of(read)
    if ours.keys() != theirs.keys() or read.kind != change.kind:
        return float("inf"), 0.0
    worst = (0.0, 0.0)
    for end, tensor in ours.items():
        exact = tensor.double().cpu()
        far = float((theirs[end].double().view(exact.shape) - exact).abs().max())
        allowed = float(exact.abs().max()) * torch.finfo(dtype).eps / 2 + HALF_STEP[dtype]
        worst = max(worst, (far, allowed), key=lambda pair: pair[0] - pair[1] if pair[0] == pair[0] else float("inf"))
    return worst


def _of_part(modules: Mapping[str, T], part: str) -> dict[str, T]:
    """A part's modules by their paths, or by the ends of these that text encoders of every transformers have."""
    paths = {name.removeprefix(f"{part}."): m for name, m in modules.items() if name.startswith(f"{part}.")}
    return {path.removeprefix("text_model."): m for path, m in paths.items()}
