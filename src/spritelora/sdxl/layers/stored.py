"""Frozen layers whose weights are kept in 16 bits and computed with in the number format of their input.

Where a CPU has no 16-bit arithmetic, bf16 products are many times slower than fp32 ones (76 times on one with AVX2
alone), and an SDXL UNet in fp32 is 10.3 GB. These layers hold 5.1 GB and compute in fp32, each weight widened where and
when it is used; autograd keeps the narrow one.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

from spritelora.sdxl.files.base import BaseModel, Unet, convert_unet, empty_unet

Gradients = tuple[Tensor | None, ...]

_BLOCKS: dict[tuple[torch.dtype, torch.device], Tensor] = {}
"""Memory for weights that are widened: one block that each takes in its turn."""

SMALL = 2**16
"""Weights of fewer elements stay in the number format of the arithmetic: norms, biases, the first convolution."""
PIECE = 2**19
"""Elements of a weight that are widened at a time, so that they are multiplied while the processor's cache has them."""
FEW_CELLS = 256
"""Up to so many places of the output a convolution is quicker as a matrix product by pieces of its weight."""


def converted(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in a number format: itself, or a copy that is good until the next one is asked for.

    To make a block anew for each of SDXL's weights costs more than to fill it.
    """
    if weight.dtype == dtype:
        return weight
    place = (dtype, weight.device)
    if place not in _BLOCKS or _BLOCKS[place].numel() < weight.numel():
        _BLOCKS[place] = torch.empty(weight.numel(), dtype=dtype, device=weight.device)
    return _BLOCKS[place][: weight.numel()].view(weight.shape).copy_(weight)


def pieces(weight: Tensor) -> list[slice]:
    """Parts of a weight's rows that fit the processor's cache."""
    step = max(1, PIECE // weight.shape[1])
    return [slice(i, i + step) for i in range(0, len(weight), step)]


def project(rows: Tensor, weight: Tensor) -> Tensor:
    """rows W^T, widened piece by piece. `rows`: (N, in); `weight`: (out, in). Returns (N, out)."""
    result = rows.new_empty(len(rows), len(weight))
    for piece in pieces(weight):
        torch.mm(rows, converted(weight[piece], rows.dtype).T, out=result[:, piece])
    return result


def project_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """gradient W, widened piece by piece. `gradient`: (N, out); `weight`: (out, in). Returns (N, in)."""
    result = gradient.new_zeros(len(gradient), weight.shape[1])
    for piece in pieces(weight):
        result.addmm_(gradient[:, piece], converted(weight[piece], gradient.dtype))
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return project(x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        gradient = gradients[0]
        return project_back(gradient.reshape(-1, len(weight)), weight).view(*gradient.shape[:-1], -1), None


class _Columns(torch.autograd.Function):
    """W c for columns c, (B, in, N), of a convolution's input. Returns (B, out, N)."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return torch.cat([converted(weight[piece], columns.dtype) @ columns for piece in pieces(weight)], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        gradient = gradients[0]
        result = gradient.new_zeros(len(gradient), weight.shape[1], gradient.shape[2])
        for piece in pieces(weight):
            wide = converted(weight[piece], gradient.dtype)
            for summed, one in zip(result, gradient[:, piece], strict=True):
                summed.addmm_(wide.T, one)
        return result, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Any, padding: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.places = x.shape, (stride, padding)
        return functional.conv2d(x, converted(weight, x.dtype), None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        to_x = conv2d_input(ctx.shape, converted(weight, gradients[0].dtype), gradients[0], *ctx.places)
        return to_x, None, None, None


class StoredLinear(nn.Linear):
    """A frozen linear layer in 16 bits."""

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = _Linear.apply(input, self.weight)  # pyright: ignore
        return result if self.bias is None else result + self.bias


class StoredConv2d(nn.Conv2d):
    """A frozen convolution in 16 bits. Over few cells its weight is most of the work: there it is a matrix product.

    PEFT makes an adapter's own convolutions of this class too; their weights are wide and train.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.requires_grad:
            return super().forward(input)
        padding: Any = self.padding
        height, width = (
            (size + 2 * pad - kernel) // stride + 1
            for size, pad, kernel, stride in zip(input.shape[2:], padding, self.kernel_size, self.stride, strict=True)
        )
        if len(input) * height * width > FEW_CELLS:
            result: Tensor = _Convolution.apply(input, self.weight, self.stride, self.padding)  # pyright: ignore
        else:
            around = functional.unfold(input, self.kernel_size, padding=padding, stride=self.stride)
            columns: Tensor = _Columns.apply(around, self.weight.flatten(1))  # pyright: ignore
            result = columns.unflatten(2, (height, width))
        return result if self.bias is None else result + self.bias[:, None, None]


STORED: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: StoredLinear, nn.Conv2d: StoredConv2d}


def is_stored(name: str, weight: Tensor) -> bool:
    """Whether a weight is kept in 16 bits."""
    return weight.ndim > 1 and weight.numel() >= SMALL and name.endswith("weight")


def narrow(tensor: Tensor) -> Tensor:
    """A weight in 16 bits: fp16 as it is, so that its values stay those of the file; any other as bf16."""
    return tensor.to(torch.float16 if tensor.dtype == torch.float16 else torch.bfloat16, copy=True)


def load_stored(base: BaseModel, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """The UNet's weights on the device in 16 bits, the small ones in the number format of the arithmetic, `dtype`."""

    def convert(name: str, tensor: Tensor) -> Tensor:
        return narrow(tensor).to(device) if is_stored(name, tensor) else tensor.to(device, dtype, copy=True)

    return convert_unet(base, convert)


def stored_unet(base: BaseModel, weights: dict[str, Tensor]) -> Unet:
    """A frozen UNet around weights that others may use too."""
    unet = empty_unet(base)
    unet.load_state_dict(weights, assign=True)
    compute_beside(unet)
    return unet.requires_grad_(False).eval()


def store(unet: Unet, dtype: torch.dtype) -> None:
    """Turn a UNet in memory into one with 16-bit weights beside the arithmetic of `dtype`."""
    for name, parameter in unet.named_parameters():
        parameter.data = narrow(parameter.data) if is_stored(name, parameter) else parameter.data.to(dtype)
    compute_beside(unet)


def compute_beside(model: nn.Module) -> None:
    """Make the layers with weights kept in 16 bits compute in the number format of their input."""
    for module in model.modules():
        kind = STORED.get(type(module))
        if kind is not None and is_stored("weight", module.weight):  # pyright: ignore
            module.__class__ = kind
