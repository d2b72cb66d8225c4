"""The frozen UNet with its transformers' matrices in 8 or 4 bits, in bitsandbytes' own layers."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.errors import TrainingError, first_line
from spritelora.sdxl.files.base import BaseModel, Unet, convert_unet, empty_unet

TRANSFORMER = "attentions."
"""In the path of every layer of a transformer; convolutions and embeddings keep the number format of the training."""
NF4_BLOCK = 64
BYTES_PER_WEIGHT = {BaseFormat.int8: 1.0, BaseFormat.nf4: 0.5 + 1 / NF4_BLOCK}
"""NF4 has a scale of a byte for each block of weights, int8 one for each row."""
OUTLIERS_FROM = 6.0
"""Activations above it are multiplied in 16 bits: Dettmers et al. 2022, arXiv:2208.07339."""


@dataclass(frozen=True)
class Packed:
    """A quantised weight: its codes, and what bitsandbytes needs to read them."""

    codes: Tensor
    scales: Any


Weights = Mapping[str, Tensor | Packed]


def quantised_layers(unet: nn.Module, base_format: BaseFormat) -> dict[str, nn.Linear]:
    """The layers that are quantised in a format, by their paths: the matrices of the transformers.

    For NF4 a row has to be whole blocks of 64 weights, as all of SDXL's are: bitsandbytes' kernel for CPUs with AVX-512
    reads others wrongly.
    """
    layers = {n: m for n, m in unet.named_modules() if isinstance(m, nn.Linear) and TRANSFORMER in n}
    block = NF4_BLOCK if base_format is BaseFormat.nf4 else 1
    return {n: m for n, m in layers.items() if "lora_" not in n and m.in_features % block == 0}


def load_quantised(
    base: BaseModel, base_format: BaseFormat, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor | Packed]:
    """The UNet's weights on the device, one after the other, so that no more than one is there in full."""
    packed = {f"{name}.weight" for name in quantised_layers(empty_unet(base), base_format)}

    def convert(name: str, tensor: Tensor) -> Tensor | Packed:
        whole = tensor.to(device, dtype, copy=True)
        return pack(whole, base_format) if name in packed else whole

    return convert_unet(base, convert)


@torch.no_grad()
def pack(weight: Tensor, base_format: BaseFormat) -> Packed:
    """Quantise a weight where it is."""
    from bitsandbytes.functional import int8_vectorwise_quant, quantize_4bit

    if base_format is BaseFormat.int8:
        codes, scales, _ = int8_vectorwise_quant(weight.half())
        return Packed(codes, scales)
    return Packed(*quantize_4bit(weight, quant_type="nf4", compress_statistics=True))


def quantised_unet(base: BaseModel, weights: Weights, base_format: BaseFormat, dtype: torch.dtype) -> Unet:
    """A frozen UNet around weights that others may use too. `dtype`: of the arithmetic."""
    unet = empty_unet(base)
    unet.load_state_dict({n: w for n, w in weights.items() if isinstance(w, Tensor)}, strict=False, assign=True)
    packed = {path: cast(Packed, weights[f"{path}.weight"]) for path in quantised_layers(unet, base_format)}
    return _with_layers(unet, packed, base_format, dtype)


def quantise(unet: Unet, base_format: BaseFormat) -> Unet:
    """The same frozen UNet with the matrices of its transformers quantised; the others' memory is given back."""
    packed = {path: pack(layer.weight, base_format) for path, layer in quantised_layers(unet, base_format).items()}
    return _with_layers(unet, packed, base_format, unet.dtype)


def _with_layers(unet: Unet, packed: Mapping[str, Packed], base_format: BaseFormat, dtype: torch.dtype) -> Unet:
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # int8 says at every step that it casts
    for path, layer in quantised_layers(unet, base_format).items():
        unet.set_submodule(path, quantised_layer(layer, packed[path], base_format, dtype))
    # PEFT reads these, and puts its own layers for bitsandbytes around those that it adapts.
    unet.is_loaded_in_8bit = base_format is BaseFormat.int8  # pyright: ignore
    unet.is_loaded_in_4bit = base_format is BaseFormat.nf4  # pyright: ignore
    return unet.requires_grad_(False).eval()


def quantised_layer(layer: nn.Linear, packed: Packed, base_format: BaseFormat, dtype: torch.dtype) -> nn.Linear:
    """bitsandbytes' layer in the place of another, with its bias; what it may change of the weight is its own."""
    from bitsandbytes import nn as layers

    bnb: Any = layers  # its parameters are made by __new__, with arguments that type checkers do not see
    sizes: Any = (layer.in_features, layer.out_features, layer.bias is not None)
    if base_format is BaseFormat.int8:
        made = bnb.Linear8bitLt(*sizes, has_fp16_weights=False, threshold=OUTLIERS_FROM, device="meta")
        made.weight = bnb.Int8Params(packed.codes, requires_grad=False, CB=packed.codes, SCB=packed.scales)
    else:
        made = bnb.Linear4bit(*sizes, dtype, quant_type="nf4", device="meta")
        state = copy.copy(packed.scales)
        state.state2 = copy.copy(state.state2)
        made.weight = bnb.Params4bit(packed.codes, quant_state=state, quant_type="nf4", bnb_quantized=True, module=made)
        made.quant_state = state
        # On some CPUs it would bring the weight into another order when not training, and then train no more.
        made.support_avx512bf16_for_cpu = False
    made.bias = layer.bias
    return made


def probe_quantised(base_format: BaseFormat, device: torch.device, dtype: torch.dtype) -> None:
    """Run a real layer forward and backward on the training device, for some builds import well and fail only there.

    Raises TrainingError that says what to take instead.
    """
    try:
        _run_layer(base_format, device, dtype)
    except Exception as error:  # a missing kernel can surface as any kind
        raise TrainingError(
            f"hardware.base={base_format.value}: bitsandbytes fails on {device} ({first_line(error)}); take "
            f"hardware.base=full, or a bitsandbytes built for this device"
        ) from error


def _run_layer(base_format: BaseFormat, device: torch.device, dtype: torch.dtype) -> None:
    weight = torch.linspace(-1, 1, 128 * 64, device=device).view(64, 128).to(dtype)
    layer = nn.Linear(128, 64, bias=False, device=torch.device("meta"))
    quantised = quantised_layer(layer, pack(weight, base_format), base_format, dtype).train()
    inputs = torch.ones(2, 128, device=device, dtype=dtype, requires_grad=True)
    (gradients,) = torch.autograd.grad(quantised(inputs).float().sum(), inputs)
    if not float((gradients.float() - weight.float().sum(0)).abs().max()) < 0.1 * len(weight):
        raise ArithmeticError("its gradients are wrong")
