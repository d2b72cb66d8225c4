"""The numbers of a file in PEFT's layers: put there, and turned to a strength."""

from collections.abc import Mapping

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftConfig
from peft.tuners.lycoris_utils import LycorisLayer
from torch import Tensor, nn

from spritelora.adapters.files.changes import DORA, LOHA, LOKR, Change, Decomposed, Lycoris
from spritelora.adapters.files.formats import peft_settings
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.peft_layer import AdaptedLayer, as_lora, as_lycoris, base_weight
from spritelora.adapters.layers.precision import keep_precision

AT_ONE = "dora_at_one"
"""The attribute of a layer that keeps, by adapter, up matrix and stretch of a DoRA at strength 1."""


def peft_config(changes: Mapping[str, Change]) -> PeftConfig:
    """A configuration that makes layers for these changes of one kind, of sizes that `copy_change` replaces."""
    kind = next(iter(changes.values())).kind
    if kind in (LOKR, LOHA):
        return (LoKrConfig if kind == LOKR else LoHaConfig)(r=1, alpha=1, target_modules=sorted(changes))
    lows = {path: c.change if isinstance(c, Decomposed) else c for path, c in changes.items()}
    factors = {path: c for path, c in lows.items() if isinstance(c, LowRank)}
    return LoraConfig(**{**peft_settings(factors), "use_dora": kind == DORA})


@torch.no_grad()
def copy_change(layer: AdaptedLayer, name: str, change: Change) -> None:
    """Put the numbers of a change into a layer's adapter, in fp32; they replace what has other shapes."""
    if isinstance(change, Lycoris):
        lycoris = as_lycoris(layer)
        assert lycoris is not None
        _copy_tensors(lycoris, base_weight(layer).device, name, change)
        keep_precision(layer, name)
        return
    lora = as_lora(layer)
    assert lora is not None
    low = change.change if isinstance(change, Decomposed) else change
    for half, values in ((lora.lora_A[name], low.down), (lora.lora_B[name], low.up)):
        half.weight = nn.Parameter(values.float().view(half.weight.shape).to(half.weight.device))
    if isinstance(change, Decomposed):
        keep_precision(layer, name)
        at_one = (lora.lora_B[name].weight.clone(), change.stretch(base_weight(layer)))
        setattr(layer, AT_ONE, {**getattr(layer, AT_ONE, {}), name: at_one})
        turn(layer, name, 1.0)


def _copy_tensors(layer: LycorisLayer, device: torch.device, name: str, change: Lycoris) -> None:
    for end in layer.adapter_layer_names:
        own = getattr(layer, end)
        if name in own:
            del own[name]
        if end in change.tensors:
            own[name] = nn.Parameter(change.tensors[end].float().to(device))
    layer.r[name], layer.alpha[name], layer.scaling[name] = change.rank, change.alpha, change.scale


@torch.no_grad()
def turn(layer: AdaptedLayer, name: str, strength: float) -> None:
    """Set how much of an adapter's change of the weight is added.

    The changed weight of DoRA is g (W + D), row by row. Of the way there from W a part t is (1 - t + t g) W + t g D:
    another DoRA, with up matrix and lengths of its own.
    """
    at_one: tuple[Tensor, Tensor] | None = getattr(layer, AT_ONE, {}).get(name)
    lora = as_lora(layer)
    if at_one is None or lora is None:
        layer.set_scale(name, strength)
        return
    up, stretch = at_one
    whole = 1 - strength + strength * stretch
    rows = (strength * stretch / whole).view(-1, *[1] * (up.ndim - 1))
    lora.lora_B[name].weight.copy_(up * rows)
    length, delta = lora.lora_magnitude_vector[name], layer.get_delta_weight(name).float()
    norms = length.get_weight_norm(base_weight(layer).float(), delta, 1.0)
    length.weight.copy_(whole.view(norms.shape) * norms)
