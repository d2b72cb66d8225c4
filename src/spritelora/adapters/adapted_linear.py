"""A linear layer with a LoRA as one operation: the numbers of PEFT's, fewer steps of Python, autograd and the device.

PEFT's layer is eight operations forward and about twenty backward, each of which is launched, recorded and kept. What
is kept here is the input and its projection to the rank.
"""

from typing import Any

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Gradients = tuple[Tensor | None, ...]


class AdaptedLinear(torch.autograd.Function):
    """x W^T + b + scale (d A^T) B^T, where d is x after dropout, with W and b frozen.

    x, d: (..., in); W: (out, in); A: (rank, in); B: (out, rank). All is computed in the number format of `x`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor | None, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor,
        scale: float,
    ) -> Tensor:  # fmt: skip
        dtype = x.dtype
        rows = x.reshape(-1, x.shape[-1])
        seen = rows if dropped is None else dropped.reshape(rows.shape)
        low = seen @ down.to(dtype).T
        base = rows @ weight.to(dtype).T if bias is None else torch.addmm(bias.to(dtype), rows, weight.to(dtype).T)
        ctx.save_for_backward(seen, low, weight, down, up)
        ctx.scale, ctx.shape, ctx.has_dropout = scale, x.shape, dropped is not None
        return base.addmm_(low, up.to(dtype).T, alpha=scale).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        seen, low, weight, down, up = ctx.saved_tensors
        dtype = seen.dtype
        gradient = gradients[0].reshape(-1, weight.shape[0]).to(dtype)
        scaled = gradient @ up.to(dtype)
        scaled *= ctx.scale
        to_up = (gradient.T @ low) * ctx.scale
        to_down = scaled.T @ seen
        to_x = to_dropped = None
        if ctx.needs_input_grad[0]:
            to_x = gradient @ weight.to(dtype)
            if not ctx.has_dropout:
                to_x.addmm_(scaled, down.to(dtype))
            to_x = to_x.view(ctx.shape)
        if ctx.has_dropout and ctx.needs_input_grad[1]:
            to_dropped = (scaled @ down.to(dtype)).view(ctx.shape)
        return to_x, to_dropped, None, None, to_down.to(down.dtype), to_up.to(up.dtype), None


class OneLoraLinear(PeftLinear):
    """PEFT's layer where one plain LoRA is on; whatever else PEFT offers is left to it."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        name = self._only_plain_lora()
        if args or kwargs or name is None or x.is_meta:  # shapes alone are traced through PEFT's own
            return super().forward(x, *args, **kwargs)
        layer: Any = self.base_layer
        down: Tensor = self.lora_A[name].weight  # pyright: ignore
        up: Tensor = self.lora_B[name].weight  # pyright: ignore
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        dropout = self.lora_dropout[name]
        dropped = dropout(x) if self.training and not isinstance(dropout, nn.Identity) else None
        return AdaptedLinear.apply(x, dropped, layer.weight, layer.bias, down, up, self.scaling[name])  # pyright: ignore

    def _only_plain_lora(self) -> str | None:
        active = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or len(active) != 1 or active[0] in self.lora_variant:
            return None
        return active[0] if isinstance(self.base_layer, nn.Linear) and self.lora_B[active[0]].bias is None else None


def use_one_operation(model: nn.Module) -> None:
    """Make PEFT's LoRA layers on linear layers compute in one operation each; nothing else about them changes."""
    for layer in model.modules():
        if type(layer) is PeftLinear:
            layer.__class__ = OneLoraLinear
