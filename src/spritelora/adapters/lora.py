"""PEFT's LoRA on a UNet or on text encoders: where it goes, how large it is, and the weights it changes."""

import math
from collections.abc import Sequence

import torch
from peft import LoraConfig
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from spritelora.adapters.adapted_linear import use_one_operation
from spritelora.config.adapter_keys import AdapterKind
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


def check_rank(model: nn.Module, targets: Sequence[str], rank: int, key: str = "lora.rank") -> None:
    """Raise ConfigError for a rank that no target can have: a layer's change has at most its smaller side's.

    Shapes alone are read, so that the model may be empty. `key`: where the rank was set.
    """
    weights = [model.get_submodule(name).weight for name in targets]
    largest = max(min(len(w), w[0].numel()) for w in weights)  # pyright: ignore
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
    """Put a LoRA that changes nothing yet on the layers `targets`, in fp32, its numbers a function of `seed`."""
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # pyright: ignore
        lora_dropout=dropout,
        target_modules=targets,
        use_rslora=kind is AdapterKind.rslora,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.add_adapter(config, adapter_name=ADAPTER)  # pyright: ignore[reportCallIssue]
    for parameter in adapter_parameters(model):
        parameter.data = parameter.data.float()
    use_one_operation(model)


def lora_layers(model: nn.Module) -> dict[str, LoraLayer]:
    """Every adapted layer by its path in the model."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def adapter_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters."""
    return [p for p in model.parameters() if p.requires_grad]


def is_up(parameter: str) -> bool:
    """Whether a parameter of that name is an up matrix, B of LoRA."""
    return ".lora_B." in parameter


def factors(layer: LoraLayer) -> tuple[Tensor, Tensor, float]:
    """Down and up weights of a layer's LoRA, and the alpha that gives its strength as alpha/rank, rsLoRA's too."""
    down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    root = math.sqrt(down.shape[0]) if layer.use_rslora[ADAPTER] else 1.0  # pyright: ignore
    return down.detach(), up.detach(), float(layer.lora_alpha[ADAPTER]) * root  # pyright: ignore


@torch.no_grad()
def live_delta(layer: LoraLayer) -> Tensor:
    """What PEFT adds to the layer's weight, in fp32 and the weight's shape."""
    return layer.get_delta_weight(ADAPTER).float()  # pyright: ignore
