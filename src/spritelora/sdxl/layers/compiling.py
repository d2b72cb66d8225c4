"""torch.compile for the transformer blocks of a UNet: many are alike, and each kind is compiled once."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from spritelora.errors import TrainingError, first_line
from spritelora.sdxl.files.base import Unet

MOST_KINDS = 64
"""Forms of one block that are compiled (widths, shapes, adapters); torch gives up after 8."""


def compile_blocks(unet: Unet) -> None:
    """Let torch compile each kind of transformer block when a training step first comes to it."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MOST_KINDS
    unet.compile_repeated_blocks()


def is_compiled(model: nn.Module) -> bool:
    """Whether any part of a model is to be compiled."""
    return any(module._compiled_call_impl is not None for module in model.modules())


def uncompiled(model: nn.Module) -> AbstractContextManager[None]:
    """Within it the model computes as if it were not compiled: for shapes that come seldom, as those of samples."""
    return torch.compiler.set_stance("force_eager") if is_compiled(model) else nullcontext()


@contextmanager
def compiler_errors(key: str = "hardware.compile") -> Iterator[None]:
    """Say what to do where torch cannot compile; `key`: what asks for it. Raises TrainingError."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise TrainingError(
            f"{key}=true: torch.compile fails here ({first_line(error)}); it needs a C++ compiler, and on a "
            f"GPU triton; install them, or take {key}=false"
        ) from error
