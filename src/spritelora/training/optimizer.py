"""The optimizer a user picked, over the adapter's parameters."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from spritelora.errors import ConfigError, TrainingError, first_line


def build_optimizer(
    kind: type[Optimizer],
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float,
    betas: Sequence[float] | None,
    arguments: dict[str, Any],
) -> Optimizer:
    """An optimizer of the class `kind`; unset betas stay the class's own.

    Raises ConfigError where the class does not take these arguments.
    """
    shared: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if betas is not None:
        shared["betas"] = tuple(betas)
    try:
        return kind(list(parameters), **shared, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optim: {kind.__name__} cannot be made ({first_line(error)})") from error


def probe_optimizer(kind: type[Optimizer], device: torch.device, **settings: Any) -> None:
    """Take one real step on the training device; some builds import well and fail only there.

    Raises TrainingError that names the optimizer to take instead.
    """
    weight = nn.Parameter(torch.ones(64, 64, device=device))
    try:
        optimizer = build_optimizer(kind, [weight], **settings)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    except ConfigError:
        raise
    except Exception as error:  # a missing kernel can surface as any kind
        raise TrainingError(f"{kind.__name__} fails on {device} ({first_line(error)}); take optim=adamw") from error
    if not torch.isfinite(weight).all() or (weight == 1).all():
        raise TrainingError(f"{kind.__name__} takes no usable step on {device}; take optim=adamw")


def eight_bit_share(optimizer: Optimizer) -> float | None:
    """Share of the parameters whose states are kept in 8 bits; None for an optimizer without such states.

    bitsandbytes keeps tensors under `min_8bit_size` elements in fp32.
    """
    settings = getattr(optimizer, "args", None)
    if getattr(settings, "optim_bits", 32) != 8:
        return None
    sizes = [p.numel() for group in optimizer.param_groups for p in group["params"]]
    return sum(n for n in sizes if n >= settings.min_8bit_size) / sum(sizes)  # pyright: ignore
