"""Earlier adapters that a run begins with: one to go on from, or one under the new one, as a part of the base."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from spritelora.adapters.files.changes import Change, Decomposed, Lycoris, difference
from spritelora.adapters.files.lora_file import LoraFile
from spritelora.adapters.layers.inject import check_fits
from spritelora.adapters.layers.layer_plan import AdapterPlan
from spritelora.adapters.layers.lora import ADAPTER
from spritelora.adapters.layers.peft_layer import (
    AdaptedLayer,
    Weighted,
    adapted_layers,
    as_lora,
    as_lycoris,
    base_weight,
)
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.errors import WeightsError

UNET = "unet."
KINDS = {AdapterKind.dora: "DoRA", AdapterKind.lokr: "LoKr", AdapterKind.loha: "LoHa"}


@torch.no_grad()
def lay_under(unet: UNet2DConditionModel, lora: LoraFile, strength: float) -> None:
    """Add the changes of a file to the weights, in fp32, rounded to their format: what comes on top is trained over it.

    The weights are new tensors, for others may hold the old ones. Raises WeightsError for a quantised layer.
    """
    for name, change in lora.everything.items():
        layer = cast(Weighted, unet.get_submodule(name.removeprefix(UNET)))
        weight = layer.weight
        if not weight.is_floating_point():
            raise WeightsError(
                f"adapter.over={lora.path}: {name} of the base is quantised, and a LoRA cannot be made a part of it; "
                f"take a base that is not quantised"
            )
        changed = weight.float() + strength * difference(change, weight).to(weight.device)
        layer.weight = nn.Parameter(changed.to(weight.dtype), requires_grad=False)


def check_start(
    unet: UNet2DConditionModel, lora: LoraFile, base_name: str, plan: AdapterPlan, targets: Sequence[str]
) -> None:
    """Raise WeightsError, with all that differs, unless a file's kind, layers and ranks are those of the plan.

    Shapes alone are read, so that the UNet may be empty.
    """
    check_fits(unet, lora, base_name)
    changes = {name.removeprefix(UNET): change for name, change in lora.everything.items()}
    kind, wanted = next(iter(changes.values())).kind, KINDS.get(plan.kind, "LoRA")
    problems = [f"it is a {kind}, and adapter={plan.kind.value} trains a {wanted}"] if kind != wanted else []
    problems += _listed("layers of it are not targets", sorted(changes.keys() - set(targets)))
    problems += _listed("targets are not in it", sorted(set(targets) - changes.keys()))
    ranks = {path: plan.ranks.get(path, plan.rank) for path in targets if path in changes}
    other = [path for path, rank in ranks.items() if changes[path].rank != rank] if kind == wanted else []
    problems += _listed(
        "layers have another rank",
        [f"{path} ({changes[path].rank} in the file, {ranks[path]} with these settings)" for path in other],
    )
    if problems:
        raise WeightsError(
            f"adapter.start={lora.path}: " + "; ".join(problems) + "; set adapter, targets and lora as it was trained"
        )


def _listed(what: str, paths: Sequence[str]) -> list[str]:
    more = ", ..." if len(paths) > 2 else ""
    return [f"{len(paths)} {what}: {', '.join(paths[:2])}{more}"] if paths else []


@torch.no_grad()
def start_from(unet: UNet2DConditionModel, lora: LoraFile) -> None:
    """Give the adapter on the UNet the numbers of a file, so that it changes what the file changes.

    Raises WeightsError for a LoKr or LoHa that is split in another way.
    """
    layers = adapted_layers(unet)
    for name, change in lora.everything.items():
        _take(layers[name.removeprefix(UNET)], change, f"adapter.start={lora.path}: {name}")


def _take(layer: AdaptedLayer, change: Change, where: str) -> None:
    """alpha/rank of the file, where it is another than the layer's, goes into the numbers."""
    scale = layer.scaling[ADAPTER]
    if isinstance(change, Lycoris):
        lycoris = as_lycoris(layer)
        assert lycoris is not None
        ends = [end for end in lycoris.adapter_layer_names if ADAPTER in getattr(layer, end)]
        own = {end: getattr(layer, end)[ADAPTER] for end in ends}
        _check_shapes(own, change.tensors, where)
        first = next(iter(change.tensors))
        for end, tensor in change.tensors.items():
            own[end].copy_(tensor.float() * (change.scale / scale if end == first else 1.0))
        return
    lora = as_lora(layer)
    assert lora is not None
    low = change.change if isinstance(change, Decomposed) else change
    down, up = lora.lora_A[ADAPTER].weight, lora.lora_B[ADAPTER].weight
    down.copy_(low.down.view(down.shape))
    up.copy_((low.up.float() * (low.alpha / low.rank / scale)).view(up.shape))
    if isinstance(change, Decomposed):
        length, weight = lora.lora_magnitude_vector[ADAPTER], base_weight(layer).float()
        norms = length.get_weight_norm(weight, layer.get_delta_weight(ADAPTER).float(), 1.0)
        length.weight.copy_(norms * change.stretch(weight).view(norms.shape))


def _check_shapes(own: Mapping[str, Tensor], others: Mapping[str, Tensor], where: str) -> None:
    ours, theirs = ({end: tuple(t.shape) for end, t in tensors.items()} for tensors in (own, others))
    if ours != theirs:
        told = (", ".join(f"{end} {shape}" for end, shape in sorted(shapes.items())) for shapes in (theirs, ours))
        raise WeightsError(
            f"{where} is split as {next(told)}, and these settings split it as {next(told)}; set adapter.lokr_factor, "
            f"adapter.decompose_both and adapter.tucker as it was trained"
        )
