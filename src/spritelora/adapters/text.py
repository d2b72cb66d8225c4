"""LoRA on both text encoders: the layers that it goes on, and its part of an exported file."""

from collections.abc import Mapping, Sequence

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from spritelora.adapters.export import prove_layers
from spritelora.adapters.formats import kohya_tensors
from spritelora.adapters.lora import factors, lora_layers, match_targets
from spritelora.adapters.lowrank import LowRank
from spritelora.adapters.names import kohya_by_module, whole_path


def match_text_targets(stack: nn.Module, endings: Sequence[str], num_first: int) -> list[str]:
    """Paths of the layers of both encoders whose path ends in one of `endings`, but for those that nothing reads.

    `num_first`: the layers of the first encoder, of which the UNet takes what goes into the last one. Raises
    ConfigError for an ending that an encoder has not.
    """
    for encoder in stack.children():
        match_targets(encoder, endings, "text_encoders.modules")
    idle = f".encoder.layers.{num_first - 1}."
    paths = match_targets(stack, endings, "text_encoders.modules")
    return [path for path in paths if not (path.startswith("text_encoder.") and idle in path)]


def text_layers_by_name(stack: nn.Module) -> dict[str, LoraLayer]:
    """Every adapted layer by the module's name in LoRA files."""
    return {whole_path(path): layer for path, layer in lora_layers(stack).items()}


def text_tensors(stack: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """The adapter in kohya's form, after the proof that the tensors hold the live encoders' deltas.

    Raises WeightsError where they do not.
    """
    layers = text_layers_by_name(stack)
    names: Mapping[str, str] = {name: kohya_by_module()[name] for name in layers}
    tensors = kohya_tensors({name: LowRank(*factors(layer)) for name, layer in layers.items()}, names, dtype)
    prove_layers(layers, names, tensors)
    return tensors
