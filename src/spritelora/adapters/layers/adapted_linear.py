"""Linear layers with a LoRA as one operation: the numbers of PEFT's, fewer steps of Python, autograd and the device.

PEFT's layer is eight operations forward and about twenty backward, each of which is launched, recorded and kept. What
is kept here is the input and its projection to the rank. Layers that read the same input, as an attention's query, key
and value do, are one operation together.
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spritelora.sdxl.layers.scratch import converted

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
        wide = converted(weight, dtype).T
        base = rows @ wide if bias is None else torch.addmm(bias.to(dtype), rows, wide)
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
            to_x = gradient @ converted(weight, dtype)
            if not ctx.has_dropout:
                to_x.addmm_(scaled, down.to(dtype))
            to_x = to_x.view(ctx.shape)
        if ctx.has_dropout and ctx.needs_input_grad[1]:
            to_dropped = (scaled @ down.to(dtype)).view(ctx.shape)
        return to_x, to_dropped, None, None, to_down.to(down.dtype), to_up.to(up.dtype), None


class JointLinear(torch.autograd.Function):
    """x W^T + b + scale (x A^T) B^T of several layers at once, with all W and b frozen. Returns a tuple of outputs.

    `layers`: W, b, A, B of each in turn, shaped as for one. All is computed in the number format of `x`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: Sequence[float], *layers: Tensor | None) -> tuple[Tensor, ...]:
        dtype = x.dtype
        weights, biases, downs, ups = (layers[i::4] for i in range(4))
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ torch.cat(downs).to(dtype).T  # pyright: ignore[reportArgumentType, reportCallIssue]
        results: list[Tensor] = []
        for weight, bias, up, scale, seen in zip(weights, biases, ups, scales, _parts(low, downs), strict=True):
            wide = converted(weight, dtype).T  # pyright: ignore[reportArgumentType]
            result = rows @ wide if bias is None else torch.addmm(bias.to(dtype), rows, wide)
            result.addmm_(seen, up.to(dtype).T, alpha=scale)  # pyright: ignore[reportOptionalMemberAccess]
            results.append(result.view(*x.shape[:-1], -1))
        ctx.save_for_backward(rows, low, *weights, *downs, *ups)
        ctx.scales, ctx.shape = scales, x.shape
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, low, *layers = ctx.saved_tensors
        count, dtype = len(gradients), rows.dtype
        weights, downs, ups = layers[:count], layers[count : 2 * count], layers[2 * count :]
        flat = [g.reshape(-1, len(w)).to(dtype) for g, w in zip(gradients, weights, strict=True)]
        scaled = torch.empty_like(low)
        to_ups: list[Tensor] = []
        parts = zip(flat, ups, ctx.scales, _parts(scaled, downs), _parts(low, downs), strict=True)
        for gradient, up, scale, into, seen in parts:
            torch.mm(gradient, up.to(dtype), out=into).mul_(scale)
            to_ups.append((gradient.T @ seen).mul_(scale).to(up.dtype))
        to_downs = [d.to(down.dtype) for d, down in zip(_parts(scaled.T @ rows, downs, 0), downs, strict=True)]
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = scaled @ torch.cat(downs).to(dtype)
            for gradient, weight in zip(flat, weights, strict=True):
                to_x.addmm_(gradient, converted(weight, dtype))
            to_x = to_x.view(ctx.shape)
        return to_x, None, *(g for pair in zip(to_downs, to_ups, strict=True) for g in (None, None, *pair))


def _parts(low: Tensor, downs: Sequence[Tensor | None], dim: int = 1) -> tuple[Tensor, ...]:
    return low.split([len(down) for down in downs], dim)  # pyright: ignore[reportArgumentType]


class OneLoraLinear(PeftLinear):
    """PEFT's layer where one plain LoRA is on; whatever else PEFT offers is left to it."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        name = self._only_plain_lora()
        if args or kwargs or name is None or _is_traced(x):
            return super().forward(x, *args, **kwargs)
        layer: Any = self.base_layer
        down: Tensor = self.lora_A[name].weight  # pyright: ignore
        up: Tensor = self.lora_B[name].weight  # pyright: ignore
        x = _as_computed(x)
        dropout = self.lora_dropout[name]
        dropped = dropout(x) if self.training and not isinstance(dropout, nn.Identity) else None
        return AdaptedLinear.apply(x, dropped, layer.weight, layer.bias, down, up, self.scaling[name])  # pyright: ignore

    def _only_plain_lora(self) -> str | None:
        active = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or len(active) != 1 or active[0] in self.lora_variant:
            return None
        return active[0] if isinstance(self.base_layer, nn.Linear) and self.lora_B[active[0]].bias is None else None

    def plain_parts(self) -> tuple[float, tuple[Tensor | None, ...]] | None:
        """The scale, and W, b, A, B, where the layer is no more than these."""
        name = self._only_plain_lora()
        if name is None or (self.training and not isinstance(self.lora_dropout[name], nn.Identity)):
            return None
        layer: Any = self.base_layer
        return self.scaling[name], (layer.weight, layer.bias, self.lora_A[name].weight, self.lora_B[name].weight)  # pyright: ignore


def project_together(layers: Sequence[Any], x: Tensor) -> tuple[Tensor, ...]:
    """What each layer makes of `x`: as one operation where all are linear with one plain LoRA, else one by one."""
    parts = [layer.plain_parts() if isinstance(layer, OneLoraLinear) else None for layer in layers]
    plain = [p for p in parts if p is not None]
    if len(plain) < len(layers) or _is_traced(x):
        return tuple(layer(x) for layer in layers)
    x = _as_computed(x)
    tensors = [tensor for _, tensors in plain for tensor in tensors]
    return JointLinear.apply(x, [scale for scale, _ in plain], *tensors)  # pyright: ignore[reportReturnType]


class JointAttention(AttnProcessor2_0):
    """SDXL's attention, with the layers that read the same input as one operation; with a mask it is diffusers' own."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """`hidden_states`: (B, N, C); `encoder_hidden_states`: (B, 77, D) or None. Returns (B, N, C)."""
        if attention_mask is not None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, **kwargs)
        if encoder_hidden_states is None:
            projected = project_together((attn.to_q, attn.to_k, attn.to_v), hidden_states)
        else:
            projected = attn.to_q(hidden_states), *project_together((attn.to_k, attn.to_v), encoder_hidden_states)
        query, key, value = (p.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for p in projected)
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        project, dropout = attn.to_out  # pyright: ignore[reportGeneralTypeIssues]
        return dropout(project(attended))


def _as_computed(x: Tensor) -> Tensor:
    """The input in the number format of the operation, which autocast does not see into."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def _is_traced(x: Tensor) -> bool:
    """Whether only shapes are computed, or code is compiled: PEFT's own many operations are what both want to see."""
    return x.is_meta or torch.compiler.is_compiling()


def use_one_operation(model: nn.Module) -> None:
    """Make PEFT's LoRA layers on linear layers compute in one operation; nothing else about them changes."""
    for layer in model.modules():
        if type(layer) is PeftLinear:
            layer.__class__ = OneLoraLinear
        elif isinstance(layer, Attention) and _is_plain(layer):
            layer.set_processor(JointAttention())  # pyright: ignore[reportArgumentType]


def use_peft_layers(model: nn.Module) -> None:
    """Undo `use_one_operation`: PEFT's layers compute as PEFT wrote them, attention as diffusers did."""
    for layer in model.modules():
        if type(layer) is OneLoraLinear:
            layer.__class__ = PeftLinear  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(layer, Attention) and isinstance(layer.processor, JointAttention):
            layer.set_processor(AttnProcessor2_0())  # pyright: ignore[reportArgumentType]


def _is_plain(attention: Attention) -> bool:
    """Whether it has none of what diffusers' attention can have beside SDXL's."""
    extras = (attention.spatial_norm, attention.group_norm, attention.norm_cross, attention.norm_q, attention.norm_k)
    is_plain = attention.rescale_output_factor == 1 and not attention.residual_connection
    return is_plain and not any(extras) and type(attention.processor) is AttnProcessor2_0
