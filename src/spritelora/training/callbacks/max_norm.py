"""Max-norm regularisation of a LoRA: no layer's change grows beyond a norm."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spritelora.adapters.layers.lora import factors
from spritelora.adapters.layers.peft_layer import lora_layers

Factors = tuple[Tensor, Tensor, float]
"""Down and up weights of a layer, live, and what their product is scaled by."""


def norm_of_change(down: Tensor, up: Tensor, scale: float) -> Tensor:
    """The Frobenius norm of `scale` x up @ down, from matrices of the rank's size alone.

    |up down|^2 = trace((up^T up)(down down^T)); float64, for its terms may cancel. A convolution's change flattens to
    the same, for an up of kernel 1.
    """
    flat_down, flat_up = down.flatten(1).double(), up.flatten(1).double()
    squared = ((flat_up.T @ flat_up) * (flat_down @ flat_down.T)).sum()
    return abs(scale) * squared.clamp(min=0).sqrt()


@torch.no_grad()
def limit_norms(factors: Iterable[Factors], largest: float) -> Tensor:
    """Scale the factors of every layer whose change has a norm above `largest` down to it, both by the same ratio.

    Returns how many were scaled, on the device, so that nothing waits for it. Source: kohya's `scale_weight_norms`.
    """
    scaled: list[Tensor] = []
    for down, up, scale in factors:
        norm = norm_of_change(down, up, scale)
        ratio = (largest / norm.clamp(min=largest)).sqrt()
        down.mul_(ratio.to(down.dtype))
        up.mul_(ratio.to(up.dtype))
        scaled.append(norm > largest)
    return torch.stack(scaled).sum()


def limit_layers(module: nn.Module, largest: float) -> Tensor:
    """Keep the norms of all adapted layers below `largest`. Returns how many were scaled, on the device."""
    found = (factors(layer) for layer in lora_layers(module).values())
    return limit_norms(((down, up, alpha / len(down)) for down, up, alpha in found), largest)
