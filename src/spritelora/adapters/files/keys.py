"""Keys of adapter files: the module that each belongs to, what it is of it, and the kind of adapter that this makes."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from spritelora.adapters.files.changes import DORA, LOHA, LOKR

Part = Mapping[str, Tensor]
"""The tensors of one module by what they are of it."""

PARTS = re.compile(
    r"(?P<module>.+?)(?:"
    r"(?P<down>[._]lora\.down\.weight|\.lora_linear_layer\.down\.weight|\.lora_down\.weight|\.lora_A(\.\w+)?\.weight)|"
    r"(?P<up>[._]lora\.up\.weight|\.lora_linear_layer\.up\.weight|\.lora_up\.weight|\.lora_B(\.\w+)?\.weight)|"
    r"(?P<alpha>\.alpha)|"
    r"(?P<DoRA>\.dora_scale|\.lora_magnitude_vector(\.\w+)?(\.weight)?)|"
    r"(?P<LoKr>\.lokr_\w+)|(?P<LoHa>\.hada_\w+)|(?P<Tucker>\.lora_mid\.weight)|"
    r"(?P<GLoRA>\.(a1|a2|b1|b2|bm)\.weight)|"
    r"(?P<OFT>\.b?oft_\w+(\.\w+)*|\.rescale)|"
    r"(?P<IA3>\.on_input|\.ia3_l(\.\w+)*)|"
    r"(?P<VeRA>\.vera_lambda_\w+(\.\w+)*)|"
    r"(?P<difference>\.diff|\.diff_b|\.w_norm|\.b_norm|\.set_weight)"
    r")"
)
"""A key: the module it belongs to, and what it is of it. The names in capitals are other kinds of adapters."""

OTHER_KINDS = (DORA, LOKR, LOHA, "Tucker", "GLoRA", "OFT", "IA3", "VeRA", "difference", "unknown")
UNKNOWN = OTHER_KINDS[-1]
UNKNOWN_KIND = re.compile(r"(?P<module>(lora|lycoris|oft)_[^.]+|base_model\.model\..+?)(?P<end>\.\w+(\.weight)?)")
"""A key that begins as an adapter's do and is of none of these kinds."""


def group_keys(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], tuple[str, ...]]:
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
    return _with_unknown_kinds(tensors, parts, stray)


def _with_unknown_kinds(
    tensors: Mapping[str, Tensor], parts: Mapping[str, dict[str, Tensor]], stray: Iterable[str]
) -> tuple[dict[str, dict[str, Tensor]], tuple[str, ...]]:
    """Modules with those added that only keys of unknown kinds name, and the keys that are still nobody's."""
    more: dict[str, dict[str, Tensor]] = {}
    left: list[str] = []
    for key in stray:
        match = UNKNOWN_KIND.fullmatch(key)
        if match and match["module"] not in parts:
            more.setdefault(match["module"], {}).update({UNKNOWN: tensors[key], match["end"]: tensors[key]})
        elif not match or "IA3" not in parts[match["module"]]:  # LyCORIS calls an IA3's numbers `weight`
            left.append(key)
    return {**parts, **more}, tuple(left)


def kind_of(part: Part) -> str | None:
    """The kind of a module that can be read, "" for plain LoRA; None for others, and for mixtures."""
    kinds = {kind for kind in OTHER_KINDS if kind in part}
    has_factors = "down" in part or "up" in part
    if not kinds or (kinds == {DORA} and has_factors and _is_by_output(part)):
        return next(iter(kinds), "") if has_factors else None
    return next(iter(kinds)) if kinds in ({LOKR}, {LOHA}) and not has_factors else None


def kinds_of(part: Part) -> str:
    """The kinds of adapters that a module is a mixture of."""
    if UNKNOWN in part:
        return f"an unknown kind (keys that end in {next(end for end in part if end.startswith('.'))})"
    kinds = [kind for kind in OTHER_KINDS if kind in part]
    is_lora_too = ("down" in part or "up" in part) and kinds != [DORA]
    return " with ".join([*(["LoRA"] if is_lora_too else []), *kinds]).replace("difference", "full differences")


def _is_by_output(part: Part) -> bool:
    """Whether a DoRA has a length for every output; LyCORIS has one for every input, unless told otherwise."""
    up = part.get("up")
    if up is None or "magnitude" in part:
        return True
    return part[DORA].shape[:1] == up.shape[:1] and part[DORA].numel() == up.shape[0]
