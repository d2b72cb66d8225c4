"""The optimizer a user picked, over the adapter's parameters."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from spritelora.config.plain import Section
from spritelora.config.strict import import_target
from spritelora.config.train.hardware_keys import Precision
from spritelora.config.train.loop_keys import OptimConfig
from spritelora.errors import ConfigError, TrainingError, first_line

RateGroup = tuple[Sequence[nn.Parameter], float]
"""Parameters, and their rate over the one that is set."""


def group_by_rate(named: Iterable[tuple[str, nn.Parameter]], factor_of: Callable[[str], float]) -> list[RateGroup]:
    """Parameters by the factor that `factor_of` gives their names; those at the set rate itself come first."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        groups.setdefault(factor_of(name), []).append(parameter)
    return [(groups[factor], factor) for factor in sorted(groups, key=lambda factor: factor != 1)]


def find_optimizer(optim: OptimConfig) -> type[Optimizer]:
    """The optimizer class that was picked. Raises ConfigError where there is none of that name."""
    try:
        kind = import_target(optim._target_)
    except Exception as error:  # a library may raise anything while it is imported
        raise ConfigError(f"optim._target_={optim._target_}: {first_line(error)}") from error
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise ConfigError(f"optim._target_={optim._target_} is not an optimizer class")
    return kind


def optimizer_settings(optim: OptimConfig, precision: Precision) -> Section:
    """The arguments of `build_optimizer` besides class and parameters."""
    arguments = with_fused_step(find_optimizer(optim), optim.args, is_loss_scaled=precision is Precision.fp16)
    return {"lr": optim.lr, "weight_decay": optim.weight_decay, "betas": optim.betas, "arguments": arguments}


def build_optimizer(
    kind: type[Optimizer],
    groups: Sequence[RateGroup],
    lr: float,
    weight_decay: float,
    betas: Sequence[float] | None,
    arguments: Mapping[str, Any],
) -> Optimizer:
    """An optimizer of the class `kind`; unset betas stay the class's own. Each group's rate is `lr` times its factor.

    Raises ConfigError where the class does not take these arguments.
    """
    shared: Section = {"lr": lr, "weight_decay": weight_decay}
    if betas is not None:
        shared["betas"] = tuple(betas)
    try:
        with redirect_stdout(None):  # Prodigy prints at every birth
            optimizer = kind([{"params": list(p), "lr": lr * factor} for p, factor in groups], **shared, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optim: {kind.__name__} cannot be made ({first_line(error)})") from error
    if is_averaging(optimizer):
        _switch(optimizer, "train")
    return optimizer


def with_fused_step(kind: type[Optimizer], arguments: Mapping[str, Any], is_loss_scaled: bool) -> Mapping[str, Any]:
    """The arguments with torch's fused step asked for, where the class has one and nothing was said of it.

    One kernel over all tensors in place of several for each. `is_loss_scaled`: fp16's gradients must be unscaled
    before they are clipped, which a fused step would do after.
    """
    has_one = kind.__module__.startswith("torch.optim") and "fused" in inspect.signature(kind).parameters
    if not has_one or is_loss_scaled or {"fused", "foreach"} & arguments.keys():
        return arguments
    return {**arguments, "fused": True}


def _switch(optimizer: Optimizer, mode: str) -> None:
    """Put the weights in training (`train`) or the result (`eval`) of a schedule-free optimizer into the parameters."""
    getattr(optimizer, mode)()


def is_averaging(optimizer: Optimizer) -> bool:
    """Whether the weights in training are not the optimizer's result, as with schedule-free ones."""
    return hasattr(optimizer, "eval") and hasattr(optimizer, "train")


@contextmanager
def settled_weights(optimizer: Optimizer) -> Iterator[None]:
    """Within it the parameters are the optimizer's result, to be validated, drawn with or exported.

    Afterwards they are to the bit what they were: to go to a schedule-free average and back by its own formulas
    rounds, so how often a run is validated would change what it learns.
    """
    if not is_averaging(optimizer):
        yield
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    kept = [p.detach().clone() for p in parameters]
    _switch(optimizer, "eval")
    try:
        yield
    finally:
        _switch(optimizer, "train")
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)


def probe_optimizer(
    kind: type[Optimizer], device: torch.device, factors: Sequence[float] = (1.0,), **settings: Any
) -> None:
    """Take one real step on the training device, with a group for each of `factors`; some builds fail only there.

    Raises TrainingError that names the optimizer to take instead.
    """
    weights = [nn.Parameter(torch.ones(64, 64, device=device)) for _ in factors]
    try:
        optimizer = build_optimizer(kind, [([w], f) for w, f in zip(weights, factors, strict=True)], **settings)
        if len(set(factors)) > 1 and "d" in optimizer.param_groups[0]:
            raise ConfigError(
                f"{kind.__name__} finds one rate for all parameters, so none can have {max(factors):g} times that of "
                f"the others; set optim.lora_plus=1, or take optim=adamw"
            )
        if device.type == "cpu" and getattr(optimizer, "is_paged", False):
            raise ConfigError(
                f"{kind.__name__} pages its states between GPU and host memory, and this run is on a CPU, where "
                f"bitsandbytes would not page at all; take optim=adamw8bit"
            )
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
    except ConfigError:
        raise
    except Exception as error:  # a missing kernel can surface as any kind
        raise TrainingError(f"{kind.__name__} fails on {device} ({first_line(error)}); take optim=adamw") from error
    if any(not torch.isfinite(weight).all() or (weight == 1).all() for weight in weights):
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


def base_rate(optimizer: Optimizer) -> float:
    """The rate before its schedule, times the step size that Prodigy has found so far."""
    group = optimizer.param_groups[0]
    return float(group["initial_lr"] * group.get("d", 1.0))
