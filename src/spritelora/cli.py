"""The one way a command starts: Hydra composes, the strict loader checks, the task runs."""

import dataclasses
import fcntl
import functools
import inspect
import logging
import os
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import hydra
import omegaconf
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from hydra_plugins.spritelora_search.optuna_sweeper import OptunaSweeperConf
from spritelora.config.command_line import (
    CommandLine,
    check_group_options,
    force_open_keys,
    list_groups,
    quote,
    quote_free_text,
    split,
)
from spritelora.config.fields import open_keys, text_keys
from spritelora.config.help import render_help
from spritelora.config.invocation import Invocation
from spritelora.config.strict import load, schema_paths, suggest
from spritelora.errors import ConfigError, Pruned, SpriteLoraError, TrainingError
from spritelora.launchers import check_extras, check_jobs_at_once, gpus_per_job, hold_gpu, jobs_at_once

T = TypeVar("T")
Rewrite = Callable[[Sequence[str], bool], list[str]]

IS_HYDRA_1_3 = hydra.__version__.startswith("1.3")
HYDRA_VERSION: dict[str, Any] = {"version_base": "1.3"} if IS_HYDRA_1_3 else {}
LOCK = ".lock"
SEARCH_KEYS = dataclasses.fields(OptunaSweeperConf)

# Our launchers' files set defaults over the plugins' own; that the plugins check them is welcome, here and in workers.
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")

_register = getattr(
    OmegaConf, "register_new_resolver" if omegaconf.__version__.startswith("2.3") else "register_resolver"
)
_register("run_dir", lambda default, output: output or default, replace=True)
_register("jobs_at_once", jobs_at_once, replace=True)
_register("gpus_per_job", gpus_per_job, replace=True)


JOB_LOGGING = {
    "version": 1,
    "formatters": {"plain": {"format": "%(message)s"}, "dated": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {
        "console": {"class": "spritelora.cli.BarSafeHandler", "formatter": "plain"},
        "file": {
            "class": "logging.FileHandler",
            "formatter": "dated",
            "delay": True,
            "filename": "${hydra.runtime.output_dir}/${hydra.job.name}.log",
        },
    },
    "root": {"level": "INFO", "handlers": ["console", "file"]},
    "disable_existing_loggers": False,
}
"""One event, one line: plain on the console, with its time in the run's log file."""

ConfigStore.instance().store(group="hydra/job_logging", name="plain", node=JOB_LOGGING)


def keep_overrides(overrides: Sequence[str], is_multirun: bool) -> list[str]:  # noqa: ARG001
    """The rewriting of a command that has none of its own."""
    return list(overrides)


class BarSafeHandler(logging.StreamHandler[Any]):
    """Writes log lines above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def command(
    config_path: str, config_name: str, schema: type[T], rewrite: Rewrite = keep_overrides
) -> Callable[[Callable[[T, Invocation], Any]], Callable[[], None]]:
    """Decorate a function of settings and invocation so that it runs from `key=value` arguments.

    `config_path`: folder of the configuration, relative to the decorated function's file. `rewrite` may
    change the overrides before they are checked.
    """

    def decorate(task: Callable[[T, Invocation], Any]) -> Callable[[], None]:
        config_dir = (Path(inspect.getfile(task)).parent / config_path).resolve()

        @functools.wraps(task)
        def main() -> None:
            signal.signal(signal.SIGTERM, _exit_on_sigterm)
            try:
                _start(task, config_dir, config_name, schema, rewrite)
            except (SpriteLoraError, HydraException, OmegaConfBaseException) as error:
                status = error.exit_status if isinstance(error, SpriteLoraError) else ConfigError.exit_status
                print(f"error: {explain(error, schema)}", file=sys.stderr)  # noqa: T201
                sys.exit(status)
            except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(1)
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
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    if isinstance(error, HydraException):
        return str(error).partition("\nSee ")[0].partition("\nConfig search path")[0].strip()
    return str(error)


def _exit_on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _start(
    task: Callable[[T, Invocation], Any], config_dir: Path, name: str, schema: type[T], rewrite: Rewrite
) -> None:
    ConfigStore.instance().store(name=f"{name}_schema", node=schema)
    line = split(sys.argv[1:], list(schema_paths(schema)), list_groups(config_dir))
    groups = _groups(config_dir, line)
    check_group_options(line.overrides, groups)
    settled = force_open_keys(rewrite(line.overrides, line.is_multirun), open_keys(schema))
    line = CommandLine(line.flags, quote_free_text(settled, text_keys(schema)))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises; it does not print and exit
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    if not line.is_about_hydra:
        jobs = _jobs_to_check(line, _swept_by_files(line, config_dir, name))
        for overrides in jobs:
            config = compose_config(config_dir, name, overrides, line.config_dirs)
            if line.wants_help:
                print(render_help(sys.modules[task.__module__].__doc__ or "", schema, groups, config))  # noqa: T201
                return
            load(config, schema)
        if line.is_multirun and line.shows_only:  # Hydra shows no sweep: its first job
            line = CommandLine([f for f in line.flags if f not in ("-m", "--multirun")], jobs[0])
    sys.argv[1:] = [*line.flags, *line.overrides]
    _run(task, config_dir, name, schema, _folders_named(line.overrides))


def _run(
    task: Callable[[T, Invocation], Any], config_dir: Path, name: str, schema: type[T], users_folders: set[Path]
) -> None:
    failures: list[SpriteLoraError] = []

    def job(raw: DictConfig) -> Any:
        settings = HydraConfig.get()
        is_sweep = settings.mode == RunMode.MULTIRUN
        if is_sweep and settings.runtime.choices["hydra/launcher"] == "joblib":
            hold_gpu()
        run_dir = Path(settings.runtime.output_dir)
        call = Invocation(run_dir, tuple(settings.overrides.task), Path(settings.sweep.dir).name if is_sweep else None)
        try:
            with _claimed(run_dir):
                return task(load(raw, schema), call)
        except SpriteLoraError as error:
            if is_sweep:
                if not isinstance(error, Pruned):
                    logging.getLogger(__name__).error("error: %s", error)
                raise
            failures.append(error)  # raised outside Hydra, which would print a line of its own first
        finally:
            if run_dir.resolve() not in users_folders:
                _remove_if_unused(run_dir, f"{settings.job.name}.log")

    hydra.main(config_path=str(config_dir), config_name=name, **HYDRA_VERSION)(job)()
    if failures:
        raise failures[0]


@contextmanager
def _claimed(run_dir: Path) -> Iterator[None]:
    """Hold a run directory against other processes; the claim ends with the process, however that ends."""
    with (run_dir / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"{run_dir}: another process is writing this run; wait for it, or stop it") from error
        except OSError:
            pass  # a file system without locks
        yield


def _folders_named(overrides: list[str]) -> set[Path]:
    """Folders the user named to be written into that exist: they stay, whatever happens."""
    named = [o.partition("=")[2].strip("'\"") for o in overrides if o.startswith(("output=", "hydra.run.dir="))]
    return {Path(n).resolve() for n in named if Path(n).is_dir()}


def _groups(config_dir: Path, line: CommandLine) -> dict[str, list[str]]:
    groups = list_groups(config_dir)
    for folder in line.config_dirs:
        for group, options in list_groups(folder).items():
            groups[group] = [*groups.get(group, []), *options]
    return groups


def _swept_by_files(line: CommandLine, config_dir: Path, name: str) -> list[str]:
    """What an experiment sweeps over, by the settings of Hydra's sweeper, where the command line does not settle it.

    Raises ConfigError for launchers and sweepers that are not installed, for an interval that no sweeper can go
    over, and for a sweep without -m.
    """
    if not line.is_multirun and not any(o.startswith("experiment=") for o in line.overrides):
        return []
    check_extras(dict(o.lstrip("+").split("=", 1) for o in line.overrides if "=" in o))
    whole = compose_config(config_dir, name, _jobs_to_check(line, [])[0], line.config_dirs, with_hydra=True)
    check_extras(whole.hydra.runtime.choices)
    check_jobs_at_once(whole.hydra, str(OmegaConf.select(whole, "hardware.device")))
    typed = [str(o.get_key_element()) for o in OverridesParser.create().parse_overrides(line.overrides)]
    params = {key: value for key, value in (whole.hydra.sweeper.get("params") or {}).items() if key not in typed}
    if params and not line.is_multirun and not line.shows_only:
        raise ConfigError(f"this experiment is a sweep over {', '.join(params)}: add -m, or settle these")
    swept = [f"{key}={value}" for key, value in params.items()]
    if whole.hydra.runtime.choices["hydra/sweeper"] != "optuna":
        for override in OverridesParser.create().parse_overrides([*swept, *line.overrides]):
            if override.is_interval_sweep():
                raise ConfigError(f"'{override.input_line}' has values without end: add hydra/sweeper=optuna")
    return swept


def compose_config(
    config_dir: Path, name: str, overrides: list[str], more_dirs: Sequence[Path] = (), with_hydra: bool = False
) -> DictConfig:
    """The configuration that overrides give, with options from `more_dirs` too; Hydra's state is left as it was."""
    if more_dirs:
        places = ",".join(quote(f"file://{folder.resolve()}") for folder in more_dirs)
        overrides = [*overrides, f"hydra.searchpath=[{places}]"]
    with hydra.initialize_config_dir(str(config_dir), **HYDRA_VERSION):
        config = hydra.compose(name, overrides, return_hydra_config=with_hydra)
    GlobalHydra.instance().clear()
    return config


def _jobs_to_check(line: CommandLine, swept: Sequence[str]) -> list[list[str]]:
    """Overrides of the jobs that together use every choice of a sweep; of the one job of a single run."""
    parsed = OverridesParser.create().parse_overrides([*(swept if line.is_multirun else ()), *line.overrides])
    if not line.is_multirun:
        for override in parsed:
            if override.is_sweep_override():
                raise ConfigError(f"'{override.input_line}' holds several values: add -m to sweep over them")
        return [line.overrides]
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


def _remove_if_unused(run_dir: Path, log_name: str) -> None:
    """Remove the folder of a run that ended before it wrote anything, so that bad input leaves nothing behind."""
    if run_dir.is_dir() and {p.name for p in run_dir.iterdir()} <= {".hydra", log_name, LOCK}:
        logging.shutdown()
        shutil.rmtree(run_dir, ignore_errors=True)
