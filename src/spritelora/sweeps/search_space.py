"""The space of a search, read from the same words as a sweep: `a,b`, `choice()`, `range()`, `interval()`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spritelora.config.fields import is_told
from spritelora.config.overrides import Overrides
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError

Space = dict[str, BaseDistribution]


def read_space(overrides: Sequence[Override]) -> tuple[Space, list[str]]:
    """Distributions by key, and the overrides that all trials share; of one key the last word counts.

    Raises ConfigError where nothing is left to search, or a range cannot be one.
    """
    last = {str(o.get_key_element()): o for o in overrides}
    space = {key: _distribution(o) for key, o in last.items() if o.is_sweep_override()}
    if not space:
        raise ConfigError(
            "hydra/sweeper=optuna has nothing to search: give a setting several values, such as "
            "'optim.lr=tag(log, interval(1e-5, 1e-3))' or lora=rank8,rank16"
        )
    return space, [str(o.input_line) for o in last.values() if not o.is_sweep_override()]


def _distribution(override: Override) -> BaseDistribution:
    value: Any = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value)
    except ValueError as error:
        raise ConfigError(f"{override.input_line}: {error}") from error
    return CategoricalDistribution([str(text) for text in override.sweep_string_iterator()])


def _interval(value: IntervalSweep) -> BaseDistribution:
    start, end, is_log = value.start, value.end, "log" in value.tags
    assert start is not None
    assert end is not None
    if isinstance(start, int) and isinstance(end, int):
        return IntDistribution(start, end, log=is_log)
    return FloatDistribution(float(start), float(end), log=is_log)


def _range(value: RangeSweep) -> BaseDistribution:
    """The values that the range means in a plain sweep: without its stop."""
    values = list(value.range())
    if not values:
        raise ValueError("the range is empty")
    low, high, is_log = min(values), max(values), "log" in value.tags
    if all(isinstance(v, int) for v in values):
        return IntDistribution(low, high, log=True) if is_log else IntDistribution(low, high, step=abs(int(value.step)))
    return FloatDistribution(low, high, log=True) if is_log else FloatDistribution(low, high, step=abs(value.step))


def suggest(trial: optuna.Trial, space: Space) -> None:
    """Draw a value for each key of the space."""
    for key, distribution in space.items():
        if isinstance(distribution, FloatDistribution):
            trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
        elif isinstance(distribution, IntDistribution):
            trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
        elif isinstance(distribution, CategoricalDistribution):
            trial.suggest_categorical(key, distribution.choices)


def build_sampler(kind: str, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial: its seed depends on the trial, so a study that goes on draws nothing twice."""
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if kind == "tpe":
        return optuna.samplers.TPESampler(seed=own_seed, constant_liar=True)
    return optuna.samplers.RandomSampler(seed=own_seed)


def to_overrides(parameters: Mapping[str, Any]) -> list[str]:
    """Drawn parameters as overrides."""
    return [f"{key}={value}" for key, value in parameters.items()]


def describe_space(space: Space, shared: Iterable[str]) -> list[str]:
    """The search in words that are equal for equal searches; where it runs and what it logs is no part of it."""
    kept = [o for o in Overrides(shared) if is_told(TrainConfig, o.key) and not o.key.startswith(("hydra", "hardware"))]
    return sorted([*(f"{key}: {distribution}" for key, distribution in space.items()), *kept])
