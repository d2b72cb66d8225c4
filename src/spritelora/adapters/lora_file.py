"""Any LoRA file, in kohya's, diffusers' or PEFT's form, read into one: each module's factors under diffusers' name."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spritelora.adapters.changes import DORA, LOHA, LOKR, Change, Decomposed, read_parts
from spritelora.adapters.lowrank import LowRank
from spritelora.adapters.names import kohya_by_module, module_by_kohya, whole_path
from spritelora.errors import WeightsError, first_line

PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
ADAPTER_METADATA = "lora_adapter_metadata"
PICKLE_STARTS = (b"\x80", b"PK\x03\x04", b"\x1f\x8b")

PARTS = re.compile(
    r"(?P<module>.+?)(?:"
    r"(?P<down>[._]lora\.down\.weight|\.lora_linear_layer\.down\.weight|\.lora_down\.weight|\.lora_A(\.\w+)?\.weight)|"
    r"(?P<up>[._]lora\.up\.weight|\.lora_linear_layer\.up\.weight|\.lora_up\.weight|\.lora_B(\.\w+)?\.weight)|"
    r"(?P<alpha>\.alpha)|"
    r"(?P<DoRA>\.dora_scale|\.lora_magnitude_vector(\.\w+)?(\.weight)?)|"
    r"(?P<LoKr>\.lokr_\w+)|(?P<LoHa>\.hada_\w+)|(?P<Tucker>\.lora_mid\.weight)|"
    r"(?P<difference>\.diff|\.diff_b|\.w_norm|\.b_norm)"
    r")"
)
"""A key: the module it belongs to, and what it is of it. The names in capitals are other kinds of adapters."""

OTHER_KINDS = (DORA, LOKR, LOHA, "Tucker", "difference")


class Form(Enum):
    """How a LoRA file names its modules."""

    kohya = "kohya"
    diffusers = "diffusers"
    peft = "peft"


@dataclass(frozen=True)
class LoraFile:
    """What a LoRA file holds.

    `modules`: plain LoRA by diffusers' name with `unet.` or `text_encoder.` before it; those of `unknown` by the file's
    own name. `others`: likewise what is of another kind and can be read. `raw_names`: the file's own name of each
    module. `other_kinds`: kinds of adapters other than LoRA, with the number of their modules. `stray_keys`: keys that
    belong to no adapter. `has_alphas`: whether strengths are known.
    """

    path: Path
    form: Form
    modules: Mapping[str, LowRank]
    raw_names: Mapping[str, str]
    unknown: frozenset[str]
    other_kinds: Mapping[str, int]
    stray_keys: tuple[str, ...]
    has_alphas: bool
    metadata: Mapping[str, str]
    others: Mapping[str, Change] = field(default_factory=dict[str, Change])

    @property
    def everything(self) -> dict[str, Change]:
        """All modules, of every kind that can be read."""
        return {**self.modules, **self.others}

    @property
    def title(self) -> str:
        """What to call the LoRA."""
        return self.metadata.get("modelspec.title") or (
            self.path.parent.name if self.path.name == PEFT_WEIGHTS else self.path.stem
        )


def read_lora_file(path: Path) -> LoraFile:
    """Read a LoRA file, or the folder of a PEFT adapter. Raises WeightsError that names the file."""
    file = path / PEFT_WEIGHTS if path.is_dir() else path
    tensors, metadata = _read_tensors(file)
    beside = file.with_name(PEFT_CONFIG)
    has_config = file.name == PEFT_WEIGHTS and beside.is_file()
    return parse_lora(file, tensors, metadata, read_settings(beside, beside.read_bytes()) if has_config else None)


def parse_lora(
    file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], peft_config: Mapping[str, Any] | None
) -> LoraFile:
    """What tensors and metadata hold. `file` is for messages. `peft_config`: what adapter_config.json says.

    Raises WeightsError where this is no LoRA or halves of it are missing.
    """
    parts, stray = _group(tensors)
    form = _form_of(parts)
    others = Counter(kind for part in parts.values() for kind in OTHER_KINDS if kind in part)
    readable = {raw: part for raw, part in parts.items() if _kind_of(part) is not None}
    if not readable and not others:
        raise WeightsError(f"{file}: not a LoRA file: none of its {len(tensors)} tensors belongs to an adapter")
    configs = _configs(file, metadata, peft_config)
    found: dict[str, Change] = {}
    raw_names: dict[str, str] = {}
    for raw, part in readable.items():
        name = module_name(raw) or raw
        if name in found:
            raise WeightsError(f"{file}: {raw_names[name]} and {raw} are the same layer; one of them must go")
        found[name], raw_names[name] = _change(file, name, part, configs), raw
    modules = {name: change for name, change in found.items() if isinstance(change, LowRank)}
    more = {name: change for name, change in found.items() if not isinstance(change, LowRank)}
    unknown = frozenset(name for name in found if name not in kohya_by_module())
    has_alphas = form is not Form.peft or bool(configs)
    return LoraFile(file, form, modules, raw_names, unknown, others, stray, has_alphas, metadata, more)


def read_module(tensors: Mapping[str, Tensor], module: str) -> Change:
    """The change of the module that tensors in kohya's form are called after."""
    parts, _ = _group(tensors)
    return _change(Path(module), module, parts[module], {})


def module_name(raw: str) -> str | None:
    """The name here of the module that a file calls `raw`; None where SDXL has no such module."""
    if raw in module_by_kohya():
        return module_by_kohya()[raw]
    path = re.sub(r"^(unet\.)?base_model\.model\.", "unet.", raw) if "base_model.model." in raw else raw
    path = re.sub(r"^unet\.(unet|text_encoder(_2)?)\.", r"\1.", path)
    if path.startswith("diffusion_model."):
        return module_by_kohya().get("lora_unet_" + path.removeprefix("diffusion_model.").replace(".", "_"))
    path = re.sub(r"\.to_out$", ".to_out.0", path.replace(".processor.to_", ".to_"))
    path = whole_path(path)
    return next((name for name in (path, f"unet.{path}") if name in kohya_by_module()), None)


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not file.is_file():
        raise WeightsError(f"{file}: no such file; give a .safetensors file, or the folder of a PEFT adapter")
    with file.open("rb") as stream:
        start = stream.read(9)
    if start.startswith(PICKLE_STARTS) and start[8:] != b"{":  # before its "{" a safetensors file has any 8 bytes
        raise WeightsError(
            f"{file}: a pickle, which runs code when it is read, whatever its name; ask for the .safetensors file"
        )
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{file}: not a whole safetensors file ({first_line(error)}); copy or download it again"
        ) from error


def _group(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], tuple[str, ...]]:
    """The tensors of each module by what they are of it, and the keys that are nothing of an adapter."""
    parts: dict[str, dict[str, Tensor]] = {}
    stray: list[str] = []
    for key, tensor in tensors.items():
        if match := PARTS.fullmatch(key):
            part, kind = parts.setdefault(match["module"], {}), str(match.lastgroup)
            part[kind] = tensor
            if kind in (LOKR, LOHA):
                part[key.rpartition(".")[2]] = tensor
            elif "magnitude" in key:
                part["magnitude"] = tensor
        else:
            stray.append(key)
    return parts, tuple(stray)


def _form_of(raw_names: Iterable[str]) -> Form:
    def form(name: str) -> Form:
        if "base_model.model." in name:
            return Form.peft
        return Form.kohya if name.startswith(("lora_", "lycoris_")) else Form.diffusers

    return Counter(map(form, raw_names)).most_common(1)[0][0] if raw_names else Form.kohya


def _kind_of(part: Mapping[str, Tensor]) -> str | None:
    """The kind of a module that can be read, "" for plain LoRA; None for others, and for mixtures."""
    kinds = {kind for kind in OTHER_KINDS if kind in part}
    has_factors = "down" in part or "up" in part
    if not kinds or (kinds == {DORA} and has_factors and _is_by_output(part)):
        return next(iter(kinds), "") if has_factors else None
    return next(iter(kinds)) if kinds in ({LOKR}, {LOHA}) and not has_factors else None


def _is_by_output(part: Mapping[str, Tensor]) -> bool:
    """Whether a DoRA has a length for every output; LyCORIS has one for every input, unless told otherwise."""
    up = part.get("up")
    if up is None or "magnitude" in part:
        return True
    return part[DORA].shape[:1] == up.shape[:1] and part[DORA].numel() == up.shape[0]


def _change(file: Path, name: str, part: Mapping[str, Tensor], configs: Mapping[str, Mapping[str, Any]]) -> Change:
    kind = _kind_of(part)
    if kind in (LOKR, LOHA):
        model, _, path = name.partition(".")
        alpha = {} if "alpha" in part or model not in configs else {"alpha": _lycoris_alpha(configs[model], path)}
        return read_parts(f"{file}: {name}", kind, {**part, **alpha})
    change = _factors(file, name, part, configs)
    return Decomposed(change, part[DORA].flatten(), "magnitude" in part) if kind == DORA else change


def _factors(file: Path, name: str, part: Mapping[str, Tensor], configs: Mapping[str, Mapping[str, Any]]) -> LowRank:
    """A module's factors; alpha is what the file says, else the configuration, else equal to the rank."""
    down, up = part.get("down"), part.get("up")
    if down is None or up is None:
        raise WeightsError(f"{file}: {name} has only its {'up' if down is None else 'down'} half; get the file again")
    if down.ndim not in (2, 4) or up.ndim not in (2, 4) or up.shape[1] != down.shape[0]:
        raise WeightsError(f"{file}: {name}: down {tuple(down.shape)} and up {tuple(up.shape)} do not fit together")
    if "alpha" in part:
        return LowRank(down, up, float(part["alpha"]))
    model, _, path = name.partition(".")
    return LowRank(down, up, _alpha(configs.get(model, {}), path, down.shape[0]))


def _configs(
    file: Path, metadata: Mapping[str, str], peft_config: Mapping[str, Any] | None
) -> dict[str, Mapping[str, Any]]:
    """PEFT's configuration of each part of the model that has one."""
    if ADAPTER_METADATA not in metadata:
        return {} if peft_config is None else {"unet": peft_config}
    settings = read_settings(f"{file}: {ADAPTER_METADATA}", metadata[ADAPTER_METADATA])
    return {"unet": settings} if "r" in settings else _by_part(settings)


def _by_part(settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """`unet.r` and its like, by the part of the model that they are about."""
    configs: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        part, _, name = key.partition(".")
        configs.setdefault(part, {})[name] = value
    return {**configs}


def _alpha(config: Mapping[str, Any], path: str, rank: int) -> float:
    """Alpha as PEFT finds it."""
    alpha = float(_by_pattern(config, "alpha_pattern", path, config.get("lora_alpha", rank)))
    return alpha * rank**0.5 if config.get("use_rslora") else alpha


def _lycoris_alpha(config: Mapping[str, Any], path: str) -> Tensor:
    return torch.tensor(float(_by_pattern(config, "alpha_pattern", path, config.get("alpha", 8))))


def _by_pattern(config: Mapping[str, Any], key: str, path: str, common: Any) -> Any:
    """The value of the first pattern that a path ends in, else the common one."""
    patterns: Mapping[str, Any] = config.get(key) or {}
    return next((v for pattern, v in patterns.items() if re.match(rf"(.*\.)?({pattern})$", path)), common)


def read_settings(where: Path | str, text: str | bytes) -> dict[str, Any]:
    """A JSON object that belongs to an adapter. Raises WeightsError that says `where`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise WeightsError(f"{where}: not JSON ({error}); get the adapter again") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{where}: not a JSON object; get the adapter again")
    return value
