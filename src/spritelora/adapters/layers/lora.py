"""PEFT's adapters on a UNet or text encoders: where they go, how large they are, and the weights they change."""

import math
from collections.abc import Collection, Sequence
from typing import Any, cast

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftConfig
from peft.tuners.lokr.layer import LoKrLayer
from torch import Tensor, nn

from spritelora.adapters.layers.layer_plan import AdapterPlan
from spritelora.adapters.layers.peft_layer import AdaptedLayer, LoraAdapted, Model, Weighted, adapted_layers
from spritelora.adapters.layers.precision import keep_precision
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.errors import ConfigError

ADAPTER = "default"


def match_targets(model: nn.Module, endings: Sequence[str], key: str = "targets.modules") -> list[str]:
    """Paths of the linear and convolution layers whose path ends in one of `endings`, whole names only.

    Raises ConfigError that names the `key` for an ending that matches no layer.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    matched = {e: [n for n in layers if n == e or n.endswith(f".{e}")] for e in endings}
    if idle := [e for e, names in matched.items() if not names]:
        examples = sorted({n.rpartition(".")[2] for n in layers if not n.rpartition(".")[2].isdigit()})
        raise ConfigError(f"{key}: {', '.join(idle)} matches no layer; layers end in {', '.join(examples)}")
    wanted = {n for names in matched.values() for n in names}
    return [n for n in layers if n in wanted]


def check_plan(unet: nn.Module, targets: Sequence[str], plan: AdapterPlan, quantised: Collection[str] = ()) -> None:
    """Raise ConfigError for settings that the kind of adapter has not, or a rank that no target can have.

    And for a kind that cannot be on layers that are `quantised`.
    """
    name = plan.kind.value
    packed = [t for t in targets if t in quantised]
    if packed and not plan.kind.is_plain:
        raise ConfigError(
            f"adapter={name} computes with whole weights, and those of {len(packed)} layers are quantised, such as "
            f"{packed[0]}; take adapter=lora, or hardware.base=full"
        )
    if plan.dropout and not plan.kind.has_factors:
        raise ConfigError(
            f"adapter={name} has no dropout of its inputs, and lora.dropout={plan.dropout:g}; set it to 0"
        )
    if plan.factor == 0:
        raise ConfigError(
            "adapter.lokr_factor=0 splits nothing; give -1, or a number that divides the layers' sides, as 8"
        )
    for_lokr = [key for key, used in (("lokr_factor", plan.factor != -1), ("decompose_both", plan.both)) if used]
    if for_lokr and plan.kind is not AdapterKind.lokr:
        raise ConfigError(f"adapter.{for_lokr[0]} is of adapter=lokr, and this is adapter={name}; leave it out")
    if plan.tucker and plan.kind.has_factors:
        raise ConfigError(
            f"adapter.tucker is of adapter=lokr and adapter=loha, and this is adapter={name}; leave it out"
        )
    if plan.kind is AdapterKind.lokr:  # a rank above what its parts can have makes them full
        return
    common = [t for t in targets if t not in plan.ranks]
    if common:
        check_rank(unet, common, plan.rank)
    for rank in sorted(set(plan.ranks.values())):
        check_rank(unet, [t for t in targets if plan.ranks.get(t) == rank], rank)


def check_rank(model: nn.Module, targets: Sequence[str], rank: int, key: str = "lora.rank") -> None:
    """Raise ConfigError for a rank that no target can have: a layer's change has at most its smaller side's.

    Shapes alone are read, so that the model may be empty. `key`: where the rank was set.
    """
    weights = [cast(Weighted, model.get_submodule(name)).weight for name in targets]
    largest = max(min(len(w), w[0].numel()) for w in weights)
    if rank > largest:
        raise ConfigError(
            f"{key}={rank} is above {largest}, the largest rank that a change of the {len(targets)} target layers "
            f"can have; set {key} to {largest} or less"
        )


def add_lora(
    model: nn.Module,
    targets: list[str],
    rank: int,
    alpha: float,
    dropout: float,
    seed: int,
    kind: AdapterKind = AdapterKind.lora,
) -> None:
    """Put an adapter of the same rank and alpha everywhere on the layers `targets`."""
    put_adapter(model, targets, AdapterPlan(kind, rank, alpha, dropout), seed)


def put_adapter(model: nn.Module, targets: list[str], plan: AdapterPlan, seed: int) -> None:
    """Put an adapter that changes nothing yet on the layers `targets`, in fp32, its numbers a function of `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cast(Model, model).add_adapter(_config(plan, targets), adapter_name=ADAPTER)
    for parameter in adapter_parameters(model):
        parameter.data = parameter.data.float()
    for layer in adapted_layers(model).values():
        settle_scale(layer, ADAPTER)
        keep_precision(layer, ADAPTER)


def settle_scale(layer: AdaptedLayer, name: str) -> None:
    """Give a LoKr of two full matrices alpha/rank 1: readers of its file know no other, for it has no rank."""
    if isinstance(layer, LoKrLayer) and name in layer.lokr_w1 and name in layer.lokr_w2:
        layer.alpha[name], layer.scaling[name] = float(layer.r[name]), 1.0


def _config(plan: AdapterPlan, targets: list[str]) -> PeftConfig:
    shared: dict[str, Any] = {
        "r": plan.rank,
        "target_modules": targets,
        "rank_pattern": dict(plan.ranks),
        "alpha_pattern": dict(plan.alphas),
    }
    if plan.kind in (AdapterKind.lokr, AdapterKind.loha):
        shared |= {"alpha": plan.common_alpha, "use_effective_conv2d": plan.tucker}
        if plan.kind is AdapterKind.loha:
            return LoHaConfig(**shared)
        return LoKrConfig(**shared, decompose_factor=plan.factor, decompose_both=plan.both)
    shared |= {"lora_alpha": plan.common_alpha, "lora_dropout": plan.dropout}
    return LoraConfig(**shared, use_rslora=plan.kind is AdapterKind.rslora, use_dora=plan.kind is AdapterKind.dora)


def adapter_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters."""
    return [p for p in model.parameters() if p.requires_grad]


def is_up(parameter: str) -> bool:
    """Whether a parameter of that name is an up matrix, B of LoRA."""
    return ".lora_B." in parameter


def factors(layer: LoraAdapted) -> tuple[Tensor, Tensor, float]:
    """Down and up weights of a layer's LoRA, and the alpha that gives its strength as alpha/rank, rsLoRA's too."""
    down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    root = math.sqrt(down.shape[0]) if layer.use_rslora[ADAPTER] else 1.0
    return down.detach(), up.detach(), float(layer.lora_alpha[ADAPTER]) * root
