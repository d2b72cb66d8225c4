"""PEFT's adapted layers with the types that its own classes leave open; the keys are names of adapters."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Protocol, cast

from peft import PeftConfig
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.lycoris_utils import LycorisLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn


class Model(Protocol):
    """A model of diffusers or transformers."""

    def add_adapter(self, config: PeftConfig, adapter_name: str) -> None:
        """Put an adapter on the layers that the configuration names."""
        ...


class Weighted(Protocol):
    """A layer with a weight: linear or a convolution."""

    weight: nn.Parameter


class Lengths(Weighted, Protocol):
    """The lengths of a DoRA's rows."""

    def get_weight_norm(self, weight: Tensor, lora_weight: Tensor, scaling: float, adapter_name: Any = None) -> Tensor:
        """The lengths of the rows of the changed weight."""
        ...


class AdaptedLayer(Protocol):
    """A layer with adapters of any kind."""

    r: MutableMapping[str, int]
    scaling: MutableMapping[str, float]

    def get_base_layer(self) -> Weighted:
        """The layer under the adapters."""
        ...

    def get_delta_weight(self, adapter: str) -> Tensor:
        """The change of the weight."""
        ...

    def set_scale(self, adapter: str, scale: float) -> None:
        """Set the strength, 1 as trained."""
        ...

    def enable_adapters(self, enabled: bool) -> None:
        """Turn all on or off."""
        ...

    def set_adapter(self, adapter_names: Sequence[str]) -> None:
        """Choose those that are on."""
        ...


class LoraAdapted(AdaptedLayer, Protocol):
    """A layer with LoRAs or DoRAs."""

    lora_A: Mapping[str, Weighted]
    lora_B: Mapping[str, Weighted]
    lora_alpha: Mapping[str, float]
    use_rslora: Mapping[str, bool]
    use_dora: Mapping[str, bool]
    lora_magnitude_vector: MutableMapping[str, Lengths]


def adapted_layers(model: nn.Module) -> dict[str, AdaptedLayer]:
    """Every layer with an adapter of any kind by its path in the model."""
    return {name: cast(AdaptedLayer, m) for name, m in model.named_modules() if isinstance(m, BaseTunerLayer)}


def lora_layers(model: nn.Module) -> dict[str, LoraAdapted]:
    """Every layer with a LoRA by its path in the model."""
    return {name: cast(LoraAdapted, m) for name, m in model.named_modules() if isinstance(m, LoraLayer)}


def as_lora(layer: AdaptedLayer) -> LoraAdapted | None:
    """The layer, where its adapters are LoRAs or DoRAs."""
    return cast(LoraAdapted, layer) if isinstance(layer, LoraLayer) else None


def as_lycoris(layer: AdaptedLayer) -> LycorisLayer | None:
    """The layer, where its adapters are LoKrs or LoHas."""
    return cast(LycorisLayer, layer) if isinstance(layer, LycorisLayer) else None


def base_weight(layer: AdaptedLayer) -> Tensor:
    """The frozen weight under an adapter."""
    return layer.get_base_layer().weight
