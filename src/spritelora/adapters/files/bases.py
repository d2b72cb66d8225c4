"""Which base model a LoRA is for, told by the names and shapes of its modules."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from spritelora.adapters.files.bad_numbers import check_numbers
from spritelora.adapters.files.changes import Change
from spritelora.adapters.files.layer_names import TEXT_ENCODERS
from spritelora.adapters.files.lora_file import LoraFile
from spritelora.adapters.files.metadata import SDXL_CHANNELS
from spritelora.errors import WeightsError
from spritelora.shown import counted


@dataclass(frozen=True)
class SdxlKind:
    """A model with SDXL's layers. `channels`: of its three levels. `encoder_widths`: of its two text encoders."""

    name: str
    channels: tuple[int, ...]
    encoder_widths: tuple[int, int]

    @property
    def text_width(self) -> int:
        """The width of the text that cross-attention reads."""
        return sum(self.encoder_widths)


SDXL = SdxlKind("SDXL", SDXL_CHANNELS, (768, 1280))
EMBEDDED = SdxlKind("the embedded tiny SDXL", (48, 96, 128), (64, 96))
KINDS = (SDXL, EMBEDDED)

OTHER_FAMILIES = (
    (r"(^|[._])double_blocks[._]|single_transformer_blocks|(^|[._])single_blocks[._]", "FLUX"),
    (r"joint_blocks", "SD 3"),
    (r"(^|[._])blocks[._]\d+[._](self|cross)_attn", "Wan"),
    (r"^transformer\.|(^|[._])transformer_blocks[._]\d+[._]attn[._]", "a transformer model such as FLUX or SD 3"),
)
TEXT_WIDTHS = {768: "SD 1.5", 1024: "SD 2", 1280: "the SDXL refiner"}
"""Of other models: what their cross-attention reads, which is what their one text encoder gives."""
ONE_TEXT_ENCODER = "lora_te_"
"""The start of kohya's names for models with one text encoder."""
CROSS_ATTENTION = re.compile(r".*attn2[._]to_[kv]")


def base_of(lora: LoraFile) -> str:
    """The name of the base model that a LoRA is for, or words that say it is not known."""
    for pattern, family in OTHER_FAMILIES:
        if any(re.search(pattern, name) for name in lora.raw_names.values()):
            return family
    known = {n: m for n, m in lora.everything.items() if n not in lora.unknown}
    if len(known) == len(lora.everything):  # else there are layers that SDXL has not
        for kind in KINDS:
            if known and all(_fits(kind, name, module) for name, module in known.items()):
                return kind.name
    widths = {m.shape[1] for name, m in lora.everything.items() if CROSS_ATTENTION.fullmatch(name)}
    widths |= {min(m.shape) for name, m in lora.everything.items() if lora.raw_names[name].startswith(ONE_TEXT_ENCODER)}
    return next((TEXT_WIDTHS[width] for width in sorted(widths) if width in TEXT_WIDTHS), "an unknown model")


def is_of_embedded(lora: LoraFile) -> bool:
    """True for a LoRA of the embedded base, which no other program has."""
    return base_of(lora) == EMBEDDED.name


def require_plain_sdxl(lora: LoraFile) -> None:
    """Raise WeightsError unless a file holds a plain LoRA for SDXL, or for the embedded base, of known strength."""
    if lora.other_kinds:
        raise WeightsError(f"{lora.path}: holds {told_kinds(lora.other_kinds)}; this works on plain LoRA alone")
    require_sdxl(lora)


def require_sdxl(lora: LoraFile) -> None:
    """Raise WeightsError unless a file holds one known kind of adapter, for such a base, of known strength.

    A DoRA with lengths for inputs, as LyCORIS has it unless told otherwise, is none, nor are mixtures in one layer.
    """
    check_readable(lora)
    kinds = Counter(change.kind for change in lora.everything.values())
    if len(kinds) > 1:
        raise WeightsError(f"{lora.path}: holds {told_kinds(kinds)}; this works on files of one kind")
    base = base_of(lora)
    if base not in {kind.name for kind in KINDS}:
        unknown = sorted(lora.raw_names[name] for name in lora.unknown)
        shown = (
            f"; {counted(len(unknown), 'layer')} that SDXL has not, such as {', '.join(unknown[:2])}" if unknown else ""
        )
        raise WeightsError(f"{lora.path}: a LoRA for {base}, not for SDXL{shown}; give one that was trained on SDXL")
    if lora.stray_keys:
        raise WeightsError(
            f"{lora.path}: {len(lora.stray_keys)} unknown keys, such as {', '.join(lora.stray_keys[:2])}; "
            f"what they do would be lost"
        )
    if not lora.has_alphas and lora.form.value == "peft":
        raise WeightsError(
            f"{lora.path}: no adapter_config.json beside it, which holds the alpha, so its strength is not known; "
            f"copy the whole folder"
        )
    check_numbers(lora)


def check_readable(lora: LoraFile) -> None:
    """Raise WeightsError for a file with layers of kinds that are not known here, or mixtures of kinds."""
    if lora.unread:
        raise WeightsError(
            f"{lora.path}: holds {unread_kinds(lora)} that cannot be read here; this works on LoRA, LoKr, LoHa, and "
            f"DoRA with a length for each output (LyCORIS: wd_on_output)"
        )


def unread_kinds(lora: LoraFile) -> str:
    """The kinds of layers that cannot be read, with their numbers."""
    return told_kinds(lora.unread)


def told_kinds(kinds: Mapping[str, int]) -> str:
    """Kinds of layers with their numbers: `DoRA in 1 layer, LoKr in 3 layers`."""
    return ", ".join(f"{kind} in {counted(count, 'layer')}" for kind, count in kinds.items())


def _fits(kind: SdxlKind, name: str, module: Change) -> bool:
    part, _, path = name.partition(".")
    if part != "unet":
        return min(module.shape) == kind.encoder_widths[list(TEXT_ENCODERS).index(part)]
    channels = _channels(kind, path)
    if channels is None or path.endswith("ff.net.0.proj"):
        return True
    is_cross = CROSS_ATTENTION.fullmatch(path) is not None
    return module.shape[0] == channels and (not is_cross or module.shape[1] == kind.text_width)


def _channels(kind: SdxlKind, path: str) -> int | None:
    """The outputs of nearly all layers of the block that `path` is in."""
    side, number, *_ = [*path.split("."), ""]
    if side == "mid_block":
        return kind.channels[-1]
    if side in ("down_blocks", "up_blocks"):
        return kind.channels[int(number) if side == "down_blocks" else -1 - int(number)]
    return None
