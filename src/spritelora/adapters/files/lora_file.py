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
from torch import Tensor

from spritelora.adapters.files.changes import DORA, LOHA, LOKR, Change, Decomposed, read_parts
from spritelora.adapters.files.keys import OTHER_KINDS, Part, group_keys, kind_of, kinds_of
from spritelora.adapters.files.layer_names import kohya_by_module, module_by_kohya, whole_path
from spritelora.adapters.files.lowrank import LowRank
from spritelora.errors import WeightsError
from spritelora.weight_files.container import open_tensors, stand_in
from spritelora.weight_files.contents import TRAINING_STATE, contents_of

PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
PEFT_PICKLE = "adapter_model.bin"
ADAPTER_METADATA = "lora_adapter_metadata"


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
    module. `other_kinds`: kinds of adapters other than LoRA, with the number of their modules. `unread`: kinds, and
    mixtures of kinds, that cannot be read, likewise. `stray_keys`: keys that belong to no adapter. `has_alphas`:
    whether strengths are known.
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
    unread: Mapping[str, int] = field(default_factory=dict[str, int])

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
    if not file.is_file():
        pickled = f"; {PEFT_PICKLE} there is a pickle, which is not read" if (path / PEFT_PICKLE).is_file() else ""
        raise WeightsError(f"{file}: no such file{pickled}; give a .safetensors file, or the folder of a PEFT adapter")
    with open_tensors(file) as opened:
        tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        metadata: dict[str, str] = opened.metadata() or {}
    beside = file.with_name(PEFT_CONFIG)
    has_config = file.name == PEFT_WEIGHTS and beside.is_file()
    return parse_lora(file, tensors, metadata, read_settings(beside, beside.read_bytes()) if has_config else None)


def parse_lora(
    file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], peft_config: Mapping[str, Any] | None
) -> LoraFile:
    """What tensors and metadata hold. `file` is for messages. `peft_config`: what adapter_config.json says.

    Raises WeightsError where this is no LoRA or halves of it are missing.
    """
    parts, stray = group_keys(tensors)
    form = _form_of(parts)
    others = Counter(kind for part in parts.values() for kind in OTHER_KINDS if kind in part)
    unread = Counter(kinds_of(part) for part in parts.values() if kind_of(part) is None and part.keys() - {"alpha"})
    readable = {raw: part for raw, part in parts.items() if kind_of(part) is not None}
    if not (readable or unread) or any(raw.startswith(TRAINING_STATE) for raw in parts):
        raise WeightsError(f"{file}: not a LoRA file: {_held_instead(tensors)}")
    configs = _configs(file, metadata, peft_config)
    found: dict[str, Change] = {}
    raw_names: dict[str, str] = {}
    for raw, part in readable.items():
        name = module_name(raw) or raw
        if name in found:
            raise WeightsError(f"{file}: {raw_names[name]} and {raw} are the same layer; one of them must go")
        _check_part(f"{file}: {raw}", part)
        found[name], raw_names[name] = _change(file, name, part, configs), raw
    modules = {name: change for name, change in found.items() if isinstance(change, LowRank)}
    more = {name: change for name, change in found.items() if not isinstance(change, LowRank)}
    unknown = frozenset(name for name in found if name not in kohya_by_module())
    has_alphas = form is not Form.peft or bool(configs)
    return LoraFile(file, form, modules, raw_names, unknown, others, stray, has_alphas, metadata, more, unread)


def read_module(tensors: Mapping[str, Tensor], module: str) -> Change:
    """The change of the module that tensors in kohya's form are called after."""
    parts, _ = group_keys(tensors)
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


def _held_instead(tensors: Mapping[str, Tensor]) -> str:
    """What tensors that are no adapter's are, and what to do."""
    contents = contents_of({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if contents is None:
        shown = f", such as {min(tensors)}" if tensors else ""
        return f"none of its {len(tensors)} tensors belongs to an adapter{shown}; give a LoRA that was trained on SDXL"
    if contents.key is not None:
        return f"it holds {contents.name}; such a file is given as {contents.key}="
    return f"it holds {contents.name}; {contents.instead or 'give a LoRA that was trained on SDXL'}"


def _form_of(raw_names: Iterable[str]) -> Form:
    def form(name: str) -> Form:
        if "base_model.model." in name:
            return Form.peft
        return Form.kohya if name.startswith(("lora_", "lycoris_")) else Form.diffusers

    return Counter(map(form, raw_names)).most_common(1)[0][0] if raw_names else Form.kohya


def _check_part(where: str, part: Part) -> None:
    """Raise WeightsError for an alpha that is no number, and for tensors of whole numbers, such as quantised ones."""
    if "alpha" in part and part["alpha"].numel() != 1:
        raise WeightsError(f"{where}: its alpha is {part['alpha'].numel()} numbers and must be one; get the file again")
    whole = {str(t.dtype) for name, t in part.items() if name != "alpha" and not t.is_floating_point()}
    if whole:
        raise WeightsError(f"{where}: its weights are {', '.join(sorted(whole))}; give the LoRA in fp16, bf16 or fp32")


def _change(file: Path, name: str, part: Part, configs: Mapping[str, Mapping[str, Any]]) -> Change:
    kind = kind_of(part)
    if kind in (LOKR, LOHA):
        model, _, path = name.partition(".")
        alpha = {} if "alpha" in part or model not in configs else {"alpha": _lycoris_alpha(configs[model], path)}
        return read_parts(f"{file}: {name}", kind, {**part, **alpha})
    change = _factors(file, name, part, configs)
    return Decomposed(change, part[DORA].flatten(), "magnitude" in part) if kind == DORA else change


def _factors(file: Path, name: str, part: Part, configs: Mapping[str, Mapping[str, Any]]) -> LowRank:
    """A module's factors; alpha is what the file says, else the configuration, else equal to the rank."""
    down, up = part.get("down"), part.get("up")
    if down is None or up is None:
        raise WeightsError(f"{file}: {name} has only its {'up' if down is None else 'down'} half; get the file again")
    if down.ndim not in (2, 4) or up.ndim not in (2, 4) or up.shape[1] != down.shape[0] or not down.shape[0]:
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
        instead = stand_in(where) if isinstance(where, Path) else None
        raise WeightsError(f"{where}: {instead or f'not JSON ({error}); get the adapter again'}") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{where}: not a JSON object; get the adapter again")
    return value
