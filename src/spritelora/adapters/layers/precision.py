"""PEFT's DoRA, LoKr and LoHa in 16-bit arithmetic: that they change nothing before the first step, nor number formats.

PEFT takes the lengths that DoRA starts from in the base's 16 bits, and the norms that it compares them with in 32, of
convolutions the other way round: off by up to 2^-9, every output is scaled. Its LoKr and LoHa give back the format of
their input, where the layer alone gives that of autocast.
"""

from typing import Any, cast

import torch
from peft.tuners.lora.dora import DoraConv2dLayer
from torch import Tensor, nn

from spritelora.adapters.layers.peft_layer import AdaptedLayer, as_lora, as_lycoris, base_weight


class WholeNorms(DoraConv2dLayer):
    """Lengths of a convolution's weights, compared with norms in fp32."""

    def get_weight_norm(self, weight: Tensor, lora_weight: Tensor, scaling: float, adapter_name: Any = None) -> Tensor:
        return super().get_weight_norm(weight.float(), lora_weight.float(), scaling, adapter_name=adapter_name)


def keep_precision(layer: AdaptedLayer, name: str) -> None:
    """Make a layer with a new adapter right under autocast."""
    if (lycoris := as_lycoris(layer)) is not None:
        cast(nn.Module, lycoris).register_forward_pre_hook(_as_autocast)
    if (lora := as_lora(layer)) is not None and name in lora.lora_magnitude_vector:
        lengths = lora.lora_magnitude_vector[name]
        if isinstance(lengths, DoraConv2dLayer):
            lora.lora_magnitude_vector[name] = whole = WholeNorms(fan_in_fan_out=False)
            whole.weight, lengths = lengths.weight, whole
        weight = base_weight(layer)
        norms = lengths.get_weight_norm(weight.float(), torch.zeros_like(weight, dtype=torch.float32), 1.0)
        lengths.weight.data = norms.detach()


def _as_autocast(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
    first, *rest = inputs
    kind = first.device.type
    return (first.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else first, *rest)
