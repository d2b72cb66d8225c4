"""The adapter on a UNet in memory: the change of each layer, and the one that PEFT computes with."""

import torch
from diffusers import UNet2DConditionModel
from peft.tuners.lokr.layer import LoKrLayer
from torch import Tensor

from spritelora.adapters.files.changes import LOHA, LOKR, Change, Decomposed, Lycoris
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.lora import ADAPTER, factors
from spritelora.adapters.layers.peft_layer import AdaptedLayer, adapted_layers, as_lora, as_lycoris, base_weight


def live_changes(unet: UNet2DConditionModel) -> dict[str, Change]:
    """The adapter's change of each layer by its path in the UNet, as a file in kohya's form holds it."""
    return {path: live_change(layer) for path, layer in adapted_layers(unet).items()}


@torch.no_grad()
def live_change(layer: AdaptedLayer) -> Change:
    """The change of a layer, of DoRA for ComfyUI's formula."""
    if (lycoris := as_lycoris(layer)) is not None:
        names = [n for n in lycoris.adapter_layer_names if ADAPTER in getattr(layer, n)]
        tensors = {name: getattr(layer, name)[ADAPTER].detach() for name in names}
        return Lycoris(LOKR if isinstance(layer, LoKrLayer) else LOHA, tensors, float(lycoris.alpha[ADAPTER]))
    lora = as_lora(layer)
    assert lora is not None
    change = LowRank(*factors(lora))
    if not lora.use_dora[ADAPTER]:
        return change
    lengths = lora.lora_magnitude_vector[ADAPTER].weight.detach().flatten()
    return Decomposed(change, lengths, of_changed=True).over_base(base_weight(layer))


@torch.no_grad()
def live_delta(layer: AdaptedLayer) -> Tensor:
    """PEFT's change of the layer's weight, in fp32 and the weight's shape."""
    delta, lora = layer.get_delta_weight(ADAPTER).float(), as_lora(layer)
    if lora is None or not lora.use_dora[ADAPTER]:
        return delta
    weight, length = base_weight(layer).float(), lora.lora_magnitude_vector[ADAPTER]
    norms = length.get_weight_norm(weight, delta, 1)
    stretch = (length.weight.float() / norms).view(-1, *[1] * (weight.ndim - 1))
    return (stretch - 1) * weight + stretch * delta
