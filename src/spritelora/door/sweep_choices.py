"""The choices of a sweep on the command line and in its experiment, checked before any job starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from spritelora.config.command_line import CommandLine
from spritelora.config.values import check_swept
from spritelora.door.compose import compose_config
from spritelora.door.launchers import check_extras, check_jobs_at_once
from spritelora.errors import ConfigError


def swept_by_files(line: CommandLine, config_dir: Path, name: str) -> list[str]:
    """The sweep of an experiment, by the settings of Hydra's sweeper, where the command line does not settle it.

    Raises ConfigError for launchers and sweepers that are not installed, for an interval that no sweeper can go
    over, and for a sweep without -m.
    """
    if not line.is_multirun and line.overrides.text("experiment") is None:
        return []
    check_extras({o.key: o.value for o in line.overrides if o.value is not None})
    whole = compose_config(config_dir, name, jobs_to_check(line, [])[0], line.config_dirs, with_hydra=True)
    check_extras(whole.hydra.runtime.choices)
    check_jobs_at_once(whole.hydra, str(OmegaConf.select(whole, "hardware.device")))
    typed = [str(o.get_key_element()) for o in OverridesParser.create().parse_overrides([*line.overrides])]
    params = {key: value for key, value in (whole.hydra.sweeper.get("params") or {}).items() if key not in typed}
    if params and not line.is_multirun and not line.shows_only:
        raise ConfigError(f"this experiment is a sweep over {', '.join(params)}: add -m, or settle these")
    swept = [f"{key}={value}" for key, value in params.items()]
    check_swept(swept)
    if whole.hydra.runtime.choices["hydra/sweeper"] != "optuna":
        for override in OverridesParser.create().parse_overrides([*swept, *line.overrides]):
            if override.is_interval_sweep():
                raise ConfigError(f"'{override.input_line}' has values without end: add hydra/sweeper=optuna")
    return swept


def jobs_to_check(line: CommandLine, swept: Sequence[str]) -> list[list[str]]:
    """Overrides of the jobs that together use every choice of a sweep; of the one job of a single run."""
    parsed = OverridesParser.create().parse_overrides([*(swept if line.is_multirun else ()), *line.overrides])
    if not line.is_multirun:
        for override in parsed:
            if override.is_sweep_override():
                raise ConfigError(f"'{override.input_line}' holds several values: add -m to sweep over them")
        return [[*line.overrides]]
    choices = [_choices(o) for o in parsed]
    first = [c[0] for c in choices]
    others = [[*first[:i], option, *first[i + 1 :]] for i, c in enumerate(choices) for option in c[1:]]
    return [first, *others]


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    if override.is_interval_sweep():
        interval: Any = override.value()
        return [f"{key}={interval.start}", f"{key}={interval.end}"]
    values = [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [values[0], values[-1]] if override.is_range_sweep() and values else values
