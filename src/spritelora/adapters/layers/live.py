"""The adapter on a UNet in memory: the change of each layer, and the one that PEFT computes with."""

import torch
from diffusers import UNet2DConditionModel
from peft.tuners.lokr.layer import LoKrLayer
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.lycoris_utils import LycorisLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from spritelora.adapters.files.changes import LOHA, LOKR, Change, Decomposed, Lycoris
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.lora import ADAPTER, adapted_layers, factors


def live_changes(unet: UNet2DConditionModel) -> dict[str, Change]:
    """The adapter's change of each layer by its path in the UNet, as a file in kohya's form holds it."""
    return {path: live_change(layer) for path, layer in adapted_layers(unet).items()}


@torch.no_grad()
def live_change(layer: BaseTunerLayer) -> Change:
    """The change of a layer, of DoRA for ComfyUI's formula."""
    if isinstance(layer, LycorisLayer):
        names = [n for n in layer.adapter_layer_names if ADAPTER in getattr(layer, n)]
        tensors = {name: getattr(layer, name)[ADAPTER].detach() for name in names}
        return Lycoris(LOKR if isinstance(layer, LoKrLayer) else LOHA, tensors, float(layer.alpha[ADAPTER]))
    assert isinstance(layer, LoraLayer)
    change = LowRank(*factors(layer))
    if not layer.use_dora[ADAPTER]:
        return change
    lengths = layer.lora_magnitude_vector[ADAPTER].weight.detach().flatten()  # pyright: ignore
    return Decomposed(change, lengths, of_changed=True).over_base(base_weight(layer))


def base_weight(layer: BaseTunerLayer) -> Tensor:
    """The frozen weight under an adapter."""
    return layer.get_base_layer().weight  # pyright: ignore


@torch.no_grad()
def live_delta(layer: BaseTunerLayer) -> Tensor:
    """PEFT's change of the layer's weight, in fp32 and the weight's shape."""
    delta: Tensor = layer.get_delta_weight(ADAPTER).float()  # pyright: ignore
    if not (isinstance(layer, LoraLayer) and layer.use_dora[ADAPTER]):
        return delta
    weight, length = base_weight(layer).float(), layer.lora_magnitude_vector[ADAPTER]
    norms: Tensor = length.get_weight_norm(weight, delta, 1)  # pyright: ignore
    stretch = (length.weight.float() / norms).view(-1, *[1] * (weight.ndim - 1))  # pyright: ignore
    return (stretch - 1) * weight + stretch * delta
