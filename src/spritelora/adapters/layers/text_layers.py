"""LoRA on both text encoders: the layers that it goes on, and its part of an exported file."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from spritelora.adapters.files.formats import kohya_tensors
from spritelora.adapters.files.layer_names import kohya_by_module, whole_path
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.lora import factors, match_targets
from spritelora.adapters.layers.peft_layer import LoraAdapted, lora_layers
from spritelora.adapters.layers.proof import prove_layers


def match_text_targets(encoders: Mapping[str, nn.Module], endings: Sequence[str]) -> dict[str, list[str]]:
    """For each encoder the paths of the layers that end in one of `endings`, but for those that nothing reads.

    What the UNet takes of the first encoder goes into its last layer. Raises ConfigError for an ending without a layer.
    """
    matched = {part: match_targets(model, endings, "text_encoders.modules") for part, model in encoders.items()}
    last: int = cast(Any, encoders["text_encoder"]).config.num_hidden_layers - 1
    read = [path for path in matched["text_encoder"] if f"encoder.layers.{last}." not in path]
    return {**matched, "text_encoder": read}


def text_layers_by_name(encoders: Mapping[str, nn.Module]) -> dict[str, LoraAdapted]:
    """Every adapted layer by the module's name in LoRA files."""
    return {
        whole_path(f"{part}.{path}"): layer
        for part, model in encoders.items()
        for path, layer in lora_layers(model).items()
    }


def text_tensors(encoders: Mapping[str, nn.Module], dtype: torch.dtype) -> dict[str, Tensor]:
    """The adapter in kohya's form, after the proof that the tensors hold the live encoders' deltas.

    Raises WeightsError where they do not.
    """
    layers = text_layers_by_name(encoders)
    names: Mapping[str, str] = {name: kohya_by_module()[name] for name in layers}
    tensors = kohya_tensors({name: LowRank(*factors(layer)) for name, layer in layers.items()}, names, dtype)
    prove_layers(layers, names, tensors)
    return tensors
