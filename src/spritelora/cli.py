"""The one way a command starts: Hydra composes, the strict loader checks, the task runs."""

import dataclasses
import functools
import inspect
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import hydra
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from hydra_plugins.spritelora_search.optuna_sweeper import OptunaSweeperConf
from spritelora.auto_resume import settle_auto
from spritelora.compose import HYDRA_VERSION, compose_config
from spritelora.config.command_line import (
    CommandLine,
    begin_entries,
    check_group_options,
    force_open_keys,
    list_groups,
    quote_free_text,
    split,
)
from spritelora.config.fields import entry_keys, open_keys, text_keys
from spritelora.config.hardware_keys import NO_MPS
from spritelora.config.help import render_help
from spritelora.config.invocation import Invocation
from spritelora.config.processes import is_follower
from spritelora.config.schema import TrainConfig
from spritelora.config.strict import load, schema_paths, suggest
from spritelora.config.sweep_resume import continue_sweep
from spritelora.errors import ConfigError, SpriteLoraError
from spritelora.file_names import check_name, told_of_names
from spritelora.files import is_same
from spritelora.launchers import hold_gpu
from spritelora.run_folder import claimed, folders_named, remove_if_unused
from spritelora.streams import lasting_streams
from spritelora.sweep_choices import jobs_to_check, swept_by_files
from spritelora.sweeps import check_objective, end_sweep, run_job, settle_sweep
from spritelora.tasks.libraries import prepare_libraries

T = TypeVar("T")
Rewrite = Callable[[Sequence[str], bool], list[str]]
Check = Callable[[Any, CommandLine], None]

TYPE_WORDS = {"bool": "true or false", "float": "a number with a point, as 0.5"}
"""What may be typed for a key that takes several types."""
SEARCH_KEYS = dataclasses.fields(OptunaSweeperConf)


def keep_overrides(overrides: Sequence[str], is_multirun: bool) -> list[str]:  # noqa: ARG001
    """The rewriting of a command that has none of its own."""
    return list(overrides)


def accept_all(config: Any, line: CommandLine) -> None:
    """The check of a command that has none of its own, and that runs in one process."""


def command(
    config_path: str,
    config_name: str,
    schema: type[T],
    rewrite: Rewrite = keep_overrides,
    check: Check = accept_all,
) -> Callable[[Callable[[T, Invocation], Any]], Callable[[], None]]:
    """Decorate a function of settings and invocation so that it runs from `key=value` arguments.

    `config_path`: folder of the configuration, relative to the decorated function's file. `rewrite` may
    change the overrides before they are checked. `check`, of a command that may run in several processes, refuses
    settings for reasons of the whole command line.
    """

    def decorate(task: Callable[[T, Invocation], Any]) -> Callable[[], None]:
        config_dir = (Path(inspect.getfile(task)).parent / config_path).resolve()

        @functools.wraps(task)
        @lasting_streams()
        def main() -> None:
            signal.signal(signal.SIGTERM, _exit_on_sigterm)
            try:
                with told_of_names():
                    _start(task, config_dir, config_name, schema, rewrite, check)
            except (SpriteLoraError, HydraException, OmegaConfBaseException) as error:
                status = error.exit_status if isinstance(error, SpriteLoraError) else ConfigError.exit_status
                if check is accept_all or not _is_told_by_another(error):
                    print(f"error: {explain(error, schema)}", file=sys.stderr)  # noqa: T201
                sys.exit(status)
            except KeyboardInterrupt:
                print("interrupted", file=sys.stderr)  # noqa: T201
                sys.exit(128 + signal.SIGINT)

        return main

    return decorate


def explain(error: Exception, schema: type[Any]) -> str:
    """The error in the user's terms, without Hydra's advice to add '+', which would hide a typo."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
        file = re.match(r"In '(.*?)'", str(error))
        where = f" in conf/{file[1]}.yaml" if file else ""
        return f"unknown key '{cause.full_key}'{where}: {suggest(cause.full_key, _all_paths(schema))}"
    of_two_types = re.match(r"Value '(.*)' of type '\w+' is incompatible with type hint '.*Union\[(.*?)\]", str(cause))
    if isinstance(cause, OmegaConfBaseException) and of_two_types:
        accepted = ", or ".join(TYPE_WORDS[kind] for kind in of_two_types[2].split(", "))
        return f"{cause.full_key} must be {accepted}, got '{of_two_types[1]}'"
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        if cause.full_key.endswith("device") and "'mps'" in str(cause):
            return f"{cause.full_key}=mps: {NO_MPS}"
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    if isinstance(error, HydraException):
        return str(error).partition("\nSee ")[0].partition("\nConfig search path")[0].strip()
    return str(error)


def _is_told_by_another(error: Exception) -> bool:
    """Whether the first process of the run says the same: a mistake in what was typed is the same in all."""
    return is_follower() and (not isinstance(error, SpriteLoraError) or isinstance(error, ConfigError))


def _exit_on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _start(
    task: Callable[[T, Invocation], Any], config_dir: Path, name: str, schema: type[T], rewrite: Rewrite, check: Check
) -> None:
    ConfigStore.instance().store(name=f"{name}_schema", node=schema)
    line = split(sys.argv[1:], list(schema_paths(schema)), list_groups(config_dir))
    if follows := check is not accept_all and is_follower():
        line = CommandLine(line.flags, [o for o in line.overrides if not o.startswith("output=")])
    _check_output(line)
    typed = line = continue_sweep(line)
    groups = _groups(config_dir, line)
    check_group_options(line.overrides, groups)
    line = settle_auto(line, config_dir, name, schema)
    settled = force_open_keys(rewrite(line.overrides, line.is_multirun), open_keys(schema))
    settled = begin_entries(settled, entry_keys(schema))
    line = CommandLine(line.flags, quote_free_text(settled, text_keys(schema)))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises; it does not print and exit
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    sweep = None
    if not line.is_about_hydra:
        jobs = jobs_to_check(line, swept_by_files(line, config_dir, name))
        for overrides in jobs:
            config = compose_config(config_dir, name, overrides, line.config_dirs)
            if line.wants_help:
                print(render_help(sys.modules[task.__module__].__doc__ or "", schema, groups, config))  # noqa: T201
                return
            settings = load(config, schema)
            check(settings, line)
            if follows:  # the first process has Hydra's part: folders, records, the log
                logging.disable()
                prepare_libraries()
                task(settings, Invocation(Path(), tuple(line.overrides)))
                return
            if isinstance(settings, TrainConfig):
                check_objective(settings)
        if line.is_multirun and line.shows_only:  # Hydra shows no sweep: its first job
            line = CommandLine([f for f in line.flags if f not in ("-m", "--multirun")], jobs[0])
        elif line.is_multirun and schema is TrainConfig:
            whole = compose_config(config_dir, name, jobs[0], line.config_dirs, with_hydra=True)
            line, sweep = settle_sweep(line, typed.overrides, whole)
    sys.argv[1:] = [*line.flags, *line.overrides]
    _run(task, config_dir, name, schema, folders_named(line.overrides))
    if sweep is not None:
        end_sweep(sweep)


def _check_output(line: CommandLine) -> None:
    for override in line.overrides:
        key, _, value = override.partition("=")
        if key == "output":
            check_name(key, value.strip("'\""))


def _run(
    task: Callable[[T, Invocation], Any], config_dir: Path, name: str, schema: type[T], users_folders: list[Path]
) -> None:
    failures: list[SpriteLoraError] = []

    def job(raw: DictConfig) -> Any:
        settings = HydraConfig.get()
        is_sweep = settings.mode == RunMode.MULTIRUN
        if is_sweep and settings.runtime.choices["hydra/launcher"] == "joblib":
            hold_gpu()
        run_dir = Path(settings.runtime.output_dir)
        call = Invocation(run_dir, tuple(settings.overrides.task), Path(settings.sweep.dir).name if is_sweep else None)
        prepare_libraries()
        if is_sweep and schema is TrainConfig:
            of_hydra = run_dir / (settings.output_subdir or ".hydra")
            return run_job(
                lambda r, c: task(load(r, schema), c), raw, call, settings.job.num, _explained(schema), of_hydra
            )
        try:
            with claimed(run_dir), told_of_names():
                try:
                    return task(load(raw, schema), call)
                finally:
                    if not any(is_same(run_dir, named) for named in users_folders):
                        remove_if_unused(run_dir, f"{settings.job.name}.log")
        except SpriteLoraError as error:
            if is_sweep:
                logging.getLogger(__name__).error("error: %s", error)
                raise
            failures.append(error)  # raised outside Hydra, which would print a line of its own first

    hydra.main(config_path=str(config_dir), config_name=name, **HYDRA_VERSION)(job)()
    if failures:
        raise failures[0]


def _explained(schema: type[Any]) -> Callable[[Exception], str]:
    return lambda error: explain(error, schema)


def _groups(config_dir: Path, line: CommandLine) -> dict[str, list[str]]:
    groups = list_groups(config_dir)
    for folder in line.config_dirs:
        for group, options in list_groups(folder).items():
            groups[group] = [*groups.get(group, []), *options]
    return groups


def _all_paths(schema: type[Any]) -> list[str]:
    hydra_keys = [*_config_paths(OmegaConf.structured(HydraConf)), *(f"sweeper.{f.name}" for f in SEARCH_KEYS)]
    return [*schema_paths(schema), *(f"hydra.{p}" for p in hydra_keys)]


def _config_paths(node: DictConfig, prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key in node:
        paths.append(f"{prefix}{key}")
        if not OmegaConf.is_missing(node, key) and isinstance(child := node._get_node(key), DictConfig):
            paths += _config_paths(child, f"{prefix}{key}.") if child._content is not None else []
    return paths
