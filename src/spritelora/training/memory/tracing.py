"""The bytes that a training step holds at once, counted by running the real model on shapes alone."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from spritelora.sdxl.files.base import Unet
from spritelora.sdxl.layers.recompute import recompute
from spritelora.sdxl.text import TextStack

HEAP = 1.4
"""The size of a CPU's heap over the bytes alive in it: measured, see docs/benchmarks.md."""

LOWERED = frozenset({F.linear, F.conv2d, F.scaled_dot_product_attention, torch.bmm, torch.baddbmm, torch.matmul})
"""The functions that autocast computes in 16 bits."""
RAISED_ON_CUDA = frozenset({F.layer_norm, F.group_norm})
"""The functions that autocast computes in fp32 on a GPU, and in the number format of their input on a CPU."""


@dataclass(frozen=True)
class Arithmetic:
    """Number formats of a step. `base`: of the frozen weights; with 16 bits the step runs under autocast to it."""

    base: torch.dtype
    is_cuda: bool

    @property
    def is_autocast(self) -> bool:
        return self.base is not torch.float32


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that are alive; those known from the start are not counted.

    `heap_below`: storages of fewer bytes count as a CPU's heap holds them.
    """

    def __init__(self, known: Iterable[Tensor], heap_below: int = 0) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._heap_below = heap_below
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._kept = [tensor.untyped_storage() for tensor in known]
        self._known.update(self._kept)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        num_bytes = storage.nbytes()
        if num_bytes < self._heap_below:
            num_bytes = round(num_bytes * HEAP)
        self._known.add(storage)
        weakref.finalize(storage, self._forget, num_bytes).atexit = False
        self.live += num_bytes
        self.peak = max(self.peak, self.live)

    def _forget(self, num_bytes: int) -> None:
        self.live -= num_bytes


class _KeepInput(torch.autograd.Function):
    """Hands a tensor on and keeps it for the backward pass, as bitsandbytes' 8-bit product does."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return gradients[0]


class AsOnDevice(TorchFunctionMode):
    """Attention and number formats of a device, for the meta device has no kernels to choose and no autocast.

    `int8`: the weights that are in 8 bits there.
    """

    def __init__(self, arithmetic: Arithmetic, int8: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.arithmetic = arithmetic
        self.int8 = frozenset(map(id, int8))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and id(args[1]) in self.int8:
            args = (_KeepInput.apply(args[0]), *args[1:])
        if self.arithmetic.is_autocast and func in LOWERED:
            args, kwargs = _cast(args, kwargs, self.arithmetic.base)
        elif self.arithmetic.is_autocast and self.arithmetic.is_cuda and func in RAISED_ON_CUDA:
            args, kwargs = _cast(args, kwargs, torch.float32)
        if func is F.scaled_dot_product_attention:
            # What flash attention keeps for its backward pass is the same on a CPU and on CUDA.
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*args[:3])[0]
        return func(*args, **kwargs)


def _cast(args: Sequence[Any], kwargs: Mapping[str, Any], dtype: torch.dtype) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def cast(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

    return tuple(cast(a) for a in args), {name: cast(value) for name, value in kwargs.items()}


def trace_step(
    model: Unet | TextStack,
    forward: Callable[[], Tensor],
    arithmetic: Arithmetic,
    checkpointed: float,
    int8: Iterable[Tensor] = (),
    heap_below: int = 0,
) -> int:
    """The most bytes that a forward and backward pass holds beside weights and gradients.

    `model`: with its adapter, on the meta device. `checkpointed`: the share of a UNet's blocks.
    `int8`: the weights that will be in 8 bits.
    """
    kept = list(int8)

    def contexts() -> Any:
        return nullcontext(), AsOnDevice(arithmetic, kept)  # the backward pass leaves function modes behind

    def checkpoint_as_on_device(module: nn.Module, *args: Any) -> Any:
        return checkpoint(module.__call__, *args, use_reentrant=False, context_fn=contexts)

    if not isinstance(model, TextStack):
        recompute(model, checkpointed, checkpoint_as_on_device)
    elif checkpointed:
        model.enable_gradient_checkpointing(context_fn=contexts)
    trained = [p for p in model.parameters() if p.requires_grad]
    hooks = [p.register_post_accumulate_grad_hook(_drop_gradient) for p in trained]
    with AsOnDevice(arithmetic, kept), LiveBytes(_weights(model), heap_below) as counted:
        torch.autograd.backward(forward())
    for hook in hooks:
        hook.remove()
    model.disable_gradient_checkpointing()
    return counted.peak


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


@torch.no_grad()
def trace_inference(
    model: nn.Module, forward: Callable[[], Tensor], arithmetic: Arithmetic, heap_below: int = 0
) -> int:
    """The most bytes that a forward pass without gradients holds beside the weights."""
    with AsOnDevice(arithmetic), LiveBytes(_weights(model), heap_below) as counted:
        forward()
    return counted.peak


def _weights(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
