"""A report on a LoRA file: its contents, the size of its changes, and the programs that would not load it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import hypot, isfinite

from spritelora.adapters.files.bad_numbers import bad_numbers
from spritelora.adapters.files.bases import EMBEDDED, KINDS, base_of, told_kinds, unread_kinds
from spritelora.adapters.files.changes import change_size, parts_of
from spritelora.adapters.files.layer_names import block_of, kohya_by_module
from spritelora.adapters.files.lora_file import Form, LoraFile
from spritelora.program import typed
from spritelora.shown import printable

NEAR_ZERO = 1e-4
"""Relative change below which a block draws what the base draws: a LoRA that shows has 1e-2 and more."""


@dataclass(frozen=True)
class BlockSize:
    """The size of one block's change. `relative`: its norm over the norm of the weights."""

    block: str
    num_modules: int
    relative: float


def block_sizes(
    lora: LoraFile, weight_norm: Callable[[str], float | None], group: Callable[[str], str] = block_of
) -> list[BlockSize]:
    """The change of every block, or of what else `group` makes of a module's name, then of all.

    `weight_norm`: the norm of the weight of a module; None: unknown, then that of a weight with variance 1 / inputs
    is taken, which layers start with.
    """
    sums: dict[str, tuple[int, float, float]] = {}
    for name, change in sorted(lora.everything.items()):
        weight = weight_norm(name) or change.shape[0] ** 0.5
        delta = change_size(change)
        for block in (group(name) if name not in lora.unknown else "other layers", "all"):
            count, deltas, weights = sums.get(block, (0, 0.0, 0.0))
            sums[block] = (count + 1, hypot(deltas, delta), hypot(weights, weight))
    whole = sums.pop("all", None)
    ordered = [*sums.items(), *([("all", whole)] if whole else [])]
    return [BlockSize(block, count, deltas / weights) for block, (count, deltas, weights) in ordered]


def size_warnings(sizes: list[BlockSize]) -> list[str]:
    """Warnings about the sizes: nothing changed, or next to nothing; none where they are not finite."""
    if not sizes or not isfinite(sizes[-1].relative):
        return []
    if not sizes[-1].relative > 0:
        return ["it changes nothing: every up matrix is zero, as before the first step; it was not trained"]
    small = [s.block for s in sizes[:-1] if s.relative < NEAR_ZERO]
    if len(small) == len(sizes) - 1:
        return [f"it changes next to nothing (below {NEAR_ZERO:g} of the weights): too few steps or too low a rate"]
    return [f"{block} is changed by less than {NEAR_ZERO:g} of its weights" for block in small]


def loading_problems(lora: LoraFile) -> list[str]:
    """Why ComfyUI would pass over modules or apply them wrongly, and A1111 hide the file; each with the remedy."""
    convert = typed("lora", "mode=merge", f"loras={lora.path}", "output=...")
    remedy = f"make a file that loads: {convert}"
    problems: list[str] = []
    skipped = [raw for name, raw in lora.raw_names.items() if not _comfyui_knows(name, raw)]
    base = base_of(lora)
    if base not in {kind.name for kind in KINDS}:
        problems.append("it is not for SDXL, so a workflow with an SDXL checkpoint would pass over it")
    elif skipped:
        count = f"ComfyUI would pass over {len(skipped)} of {len(lora.raw_names)} layers, with a line in its log only"
        reasons = Counter(map(_why_unknown, skipped))
        problems += [f"{count}: {why} ({n}, such as {_first(skipped, why)}); {remedy}" for why, n in reasons.items()]
    if base == EMBEDDED.name:
        problems.append(
            "it fits the embedded base alone, of which ComfyUI has no checkpoint; train with model=sdxl for it"
        )
    if lora.form is not Form.kohya:
        scales = {round(change.alpha / change.rank, 6) for change in lora.everything.values()} - {1.0}
        if scales and lora.has_alphas:
            told = ", ".join(f"{s:g}" for s in sorted(scales)[:3])
            problems.append(
                f"ComfyUI does not see the alpha of this form and would use 1 for alpha/rank {told}; {remedy}"
            )
        if not lora.has_alphas:
            problems.append("its alpha is not known: adapter_config.json, which holds it, is not beside it")
    version = lora.metadata.get("ss_base_model_version")
    if version and not version.startswith("sdxl_"):
        problems.append(f"A1111 would hide it among SDXL models: ss_base_model_version is {version}")
    return problems


def _comfyui_knows(name: str, raw: str) -> bool:
    """Whether ComfyUI's map of an SDXL model has the module's name in the file.

    Source: `comfy/lora.py`, `model_lora_keys_unet` and `model_lora_keys_clip`, of Comfy-Org/ComfyUI 17358c8f.
    """
    part, _, path = name.partition(".")
    if part != "unet":
        return raw in (kohya_by_module().get(name), name)
    underscored = path.replace(".", "_")
    dotted = re.sub(r"\.to_out\.0$", ".to_out", path).replace(".to_", ".processor.to_")
    original = kohya_by_module().get(name, "")
    known = (original, f"lora_unet_{underscored}", f"lycoris_{underscored}", dotted, f"unet.{dotted}")
    return raw in known or raw.replace(".", "_") == original.replace("lora_unet_", "diffusion_model_")


def _why_unknown(raw: str) -> str:
    if "base_model.model." in raw:
        return "PEFT's names mean nothing to it"
    if re.search(r"attn\d\.to_", raw):
        return "attention layers of diffusers' form carry names it does not look for"
    return "names that SDXL has not"


def _first(raw_names: list[str], why: str) -> str:
    return next(raw for raw in raw_names if _why_unknown(raw) == why)


def describe_file(lora: LoraFile, sizes: list[BlockSize], against: str) -> str:
    """A readable report. `against`: what the relative sizes are relative to."""
    lines = [f"{lora.path}", *_facts(lora), "", f"change of the weights, relative to {against}:"]
    lines += [f"  {s.block:<22}{s.num_modules:>5} layers   {s.relative:.3g}" for s in sizes]
    warnings = [*loading_problems(lora), *size_warnings(sizes)]
    warnings += [told] if (told := bad_numbers(lora)) else []
    warnings += [f"{unread_kinds(lora)}, which cannot be read here"] if lora.unread else []
    warnings += [f"{len(lora.stray_keys)} keys of no adapter, such as {lora.stray_keys[0]}"] if lora.stray_keys else []
    lines += ["", *(f"warning: {w}" for w in warnings)] if warnings else ["", "ComfyUI loads every layer of it."]
    return "".join(f"{printable(line)}\n" for line in lines)


def _facts(lora: LoraFile) -> Iterator[str]:
    parts = Counter(name.partition(".")[0] if name not in lora.unknown else "unknown" for name in lora.everything)
    named = {"unet": "UNet", "text_encoder": "text encoder 1", "text_encoder_2": "text encoder 2"}
    tensors = [t for c in lora.everything.values() for end, t in parts_of(c).items() if end != "alpha"]
    yield f"  form       {lora.form.value}"
    yield f"  base       {base_of(lora)}"
    yield f"  layers     {', '.join(f'{count} {named.get(part, part)}' for part, count in parts.items()) or 'none'}"
    if lora.other_kinds:
        yield f"  kinds      {told_kinds(lora.other_kinds)}"
    yield f"  rank       {_counts(change.rank for change in lora.everything.values())}"
    alphas = _counts(change.alpha for change in lora.everything.values()) if lora.has_alphas else "not known"
    yield f"  alpha      {alphas}"
    yield f"  numbers    {_counts(str(t.dtype).removeprefix('torch.') for t in tensors)}"
    millions, megabytes = sum(t.numel() for t in tensors) / 1e6, lora.path.stat().st_size / 1e6
    yield f"  size       {millions:.2f} M parameters, {megabytes:.1f} MB"
    yield from _metadata_lines(lora.metadata)


def _metadata_lines(metadata: Mapping[str, str]) -> Iterator[str]:
    shown = {key: value for key, value in metadata.items() if key.startswith(("ss_", "modelspec."))}
    if not shown:
        yield "  metadata   none"
    for i, (key, value) in enumerate(sorted(shown.items())):
        text = value if len(value) <= 76 else f"{value[:64]}... ({len(value)} characters)"
        yield f"  {'metadata' if i == 0 else '':<11}{key} = {text}"


def _counts(values: Iterable[object]) -> str:
    counts = Counter(values).most_common()
    shown = [f"{v:g}" if isinstance(v, float) else str(v) for v, _ in counts[:4]]
    if len(counts) == 1:
        return shown[0]
    return ", ".join(f"{v} ({n} times)" for v, (_, n) in zip(shown, counts, strict=False)) + (
        ", ..." if counts[4:] else ""
    )
