"""Any LoRA file, in kohya's, diffusers' or PEFT's form, read into one: each module's factors under diffusers' name."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spritelora import limits
from spritelora.adapters.files.changes import DORA, LOHA, LOKR, Change, Decomposed, Lycoris, read_parts
from spritelora.adapters.files.keys import OTHER_KINDS, Part, group_keys, kind_of, kinds_of
from spritelora.adapters.files.layer_names import kohya_by_module, module_by_kohya, whole_path
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.files.peft_settings import AlphaSettings, read_settings, settle_alphas
from spritelora.errors import WeightsError
from spritelora.files import JsonObject, read_start
from spritelora.weight_files.container import read_tensors_and_metadata
from spritelora.weight_files.contents import TRAINING_STATE, contents_of

Configs = Mapping[str, AlphaSettings]
"""The alphas in configurations, by the part of the model."""

FLOATS = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
}  # fmt: skip
LYCORIS_ALPHA = 8.0
"""Of PEFT's LoKr and LoHa, where their configuration says nothing."""
PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
PEFT_PICKLE = "adapter_model.bin"
ADAPTER_METADATA = "lora_adapter_metadata"


class Form(Enum):
    """The form of a LoRA file, by the names of its modules."""

    kohya = "kohya"
    diffusers = "diffusers"
    peft = "peft"


@dataclass(frozen=True)
class LoraFile:
    """The contents of a LoRA file.

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
        """The LoRA's name."""
        return self.metadata.get("modelspec.title") or (
            self.path.parent.name if self.path.name == PEFT_WEIGHTS else self.path.stem
        )


def read_lora_file(path: Path) -> LoraFile:
    """Read a LoRA file, or the folder of a PEFT adapter. Raises WeightsError that names the file."""
    file = path / PEFT_WEIGHTS if path.is_dir() else path
    if not file.is_file():
        pickled = f"; {PEFT_PICKLE} there is a pickle, which is not read" if (path / PEFT_PICKLE).is_file() else ""
        raise WeightsError(f"{file}: no such file{pickled}; give a .safetensors file, or the folder of a PEFT adapter")
    tensors, metadata = read_tensors_and_metadata(file)
    beside = file.with_name(PEFT_CONFIG)
    has_config = file.name == PEFT_WEIGHTS and beside.is_file()
    return parse_lora(
        file,
        tensors,
        metadata,
        read_settings(beside, read_start(beside, limits.SETTINGS_BYTES.most)) if has_config else None,
    )


def parse_lora(
    file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], peft_config: Mapping[str, Any] | None
) -> LoraFile:
    """The LoRA in tensors and metadata. `file` is for messages. `peft_config`: what adapter_config.json says.

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
    _check_formed(file, found.values())
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
    """A message for tensors that are no adapter's: what they are, and what to do."""
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
    """Raise WeightsError for an alpha that is no number, and for tensors that are empty or of no plain numbers."""
    alpha = part.get("alpha")
    if alpha is not None and (alpha.numel() != 1 or alpha.is_complex()):
        raise WeightsError(f"{where}: its alpha is {alpha.numel()} numbers and must be one; get the file again")
    weights = [t for name, t in part.items() if name != "alpha"]
    strange = {str(t.dtype) for t in weights if t.dtype not in FLOATS}
    if strange:
        told = ", ".join(sorted(strange))
        raise WeightsError(f"{where}: its weights are {told}; give the LoRA in fp16, bf16 or fp32")
    if shapes := [tuple(t.shape) for t in weights if not t.numel()]:
        raise WeightsError(f"{where}: a tensor of {shapes[0]} is empty, as of rank 0; get the file again")


def _check_formed(file: Path, changes: Iterable[Change]) -> None:
    """Raise WeightsError for a change larger than any layer, or for more LoHa, which is multiplied out, than SDXL."""
    formed = 0
    try:
        for change in changes:
            number = math.prod(change.shape)
            limits.LAYER_NUMBERS.check(number, shape=" x ".join(map(str, change.shape)))
            formed += number if isinstance(change, Lycoris) and change.kind == LOHA else 0
        limits.FORMED_NUMBERS.check(formed)
    except ValueError as error:
        raise WeightsError(f"{file}: {error}; get the file again") from error


def _change(file: Path, name: str, part: Part, configs: Configs) -> Change:
    kind = kind_of(part)
    if kind in (LOKR, LOHA):
        is_told = "alpha" in part or name.partition(".")[0] not in configs
        alpha = {} if is_told else {"alpha": torch.tensor(_told_alpha(configs, name, LYCORIS_ALPHA))}
        return read_parts(f"{file}: {name}", kind, {**part, **alpha})
    change = _factors(file, name, part, configs)
    if kind != DORA:
        return change
    if (num_lengths := part[DORA].numel()) != change.up.shape[0]:
        told = f"{num_lengths} lengths for {change.up.shape[0]} outputs"
        raise WeightsError(f"{file}: {name}: {told}; get the file again")
    return Decomposed(change, part[DORA].flatten(), "magnitude" in part)


def _factors(file: Path, name: str, part: Part, configs: Configs) -> LowRank:
    """A module's factors; alpha is what the file says, else the configuration, else equal to the rank."""
    down, up = part.get("down"), part.get("up")
    if down is None or up is None:
        raise WeightsError(f"{file}: {name} has only its {'up' if down is None else 'down'} half; get the file again")
    is_two_sided = {up.ndim, down.ndim} <= {2, 4}
    if not is_two_sided or up.shape[1:].numel() != down.shape[0]:
        raise WeightsError(f"{file}: {name}: down {tuple(down.shape)} and up {tuple(up.shape)} do not fit together")
    if "alpha" in part:
        return LowRank(down, up, float(part["alpha"]))
    return LowRank(down, up, _told_alpha(configs, name, float(down.shape[0]), down.shape[0]))


def _told_alpha(configs: Configs, name: str, otherwise: float, rank: int = 1) -> float:
    """The alpha that a module's configuration says, as alpha over rank counts it."""
    model, _, path = name.partition(".")
    config = configs.get(model, AlphaSettings())
    alpha = config.alpha_of(path, name in kohya_by_module())
    return (otherwise if alpha is None else alpha) * (rank**0.5 if config.is_stabilised else 1)


def _configs(file: Path, metadata: Mapping[str, str], peft_config: Mapping[str, Any] | None) -> Configs:
    """PEFT's configuration of each part of the model that has one."""
    where, settings = f"{file.with_name(PEFT_CONFIG)}", peft_config
    if ADAPTER_METADATA in metadata:
        where = f"{file}: {ADAPTER_METADATA}"
        settings = read_settings(where, metadata[ADAPTER_METADATA])
    if settings is None:
        return {}
    by_part = {"unet": settings} if settings is peft_config or "r" in settings else _by_part(settings)
    return {part: settle_alphas(where, own) for part, own in by_part.items()}


def _by_part(settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """`unet.r` and its like, by the part of the model that they are about."""
    configs: dict[str, JsonObject] = {}
    for key, value in settings.items():
        part, _, name = key.partition(".")
        configs.setdefault(part, {})[name] = value
    return {**configs}
