"""The one way a command starts: Hydra composes, the strict loader checks, the task runs."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from spritelora.config.command_line import CommandLine, check_group_options, list_groups, split, to_grammar
from spritelora.config.invocation import Invocation
from spritelora.config.strict import load, schema_paths
from spritelora.config.train.processes import is_follower
from spritelora.config.train.schema import TrainConfig
from spritelora.config.values import check_typed
from spritelora.door.auto_resume import settle_auto
from spritelora.door.compose import HYDRA_VERSION, compose_config, folders_in_home, search_path, without_hydra
from spritelora.door.explain import explain, without_environment
from spritelora.door.help import render_help
from spritelora.door.launchers import hold_gpu
from spritelora.door.run_folder import (
    asked_folder,
    check_links,
    check_unoccupied,
    claimed,
    opened,
    remove_if_unused,
    with_folder,
)
from spritelora.door.sweep_choices import jobs_to_check, swept_by_files
from spritelora.door.sweep_launch import check_objective, end_sweep, run_job, settle_sweep
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError, SpriteLoraError, TrainingError
from spritelora.file_names import check_name, told_of_names
from spritelora.files import is_same, is_told
from spritelora.process import prepare_libraries
from spritelora.program import options_root, typed
from spritelora.streams import lasting_streams

T = TypeVar("T")
Rewrite = Callable[[Sequence[str], bool], list[str]]
Check = Callable[[Any, CommandLine], None]

RUN_FOLDER, SWEEP_FOLDER = "hydra.run.dir", "hydra.sweep.dir"


def keep_overrides(overrides: Sequence[str], is_multirun: bool) -> list[str]:  # noqa: ARG001
    """The rewriting of a command that has none of its own."""
    return list(overrides)


def accept_all(config: Any, line: CommandLine) -> None:
    """The check of a command that has none of its own, and that runs in one process."""


@dataclass(frozen=True)
class Command:
    """A command: called, it runs from the `key=value` arguments of this process.

    `example`: what may follow its name. `options`: its configuration below the folder of `options_root()`, without
    the end of the file's name. `rewrite` may change the overrides before they are checked. `check`, of a command that
    may run in several processes, refuses settings for reasons of the whole command line. `fills_folder`: its results
    lie in Hydra's folder, which must hold nothing when it starts.
    """

    summary: str
    example: str
    options: str
    schema: type[Any]
    rewrite: Rewrite
    check: Check
    fills_folder: bool
    task: Callable[[Any, Invocation], Any]

    @property
    def name(self) -> str:
        """The word that starts it."""
        return self.task.__name__

    @property
    def purpose(self) -> str:
        """The command's purpose, with an example."""
        return f"{self.summary}:  {typed(self.name)} {self.example}".rstrip()

    @property
    def config_dir(self) -> Path:
        """The folder of its options."""
        return options_root() / Path(self.options).parent

    @lasting_streams()
    def __call__(self) -> None:
        """Run, and exit with the status that tells how it went."""
        signal.signal(signal.SIGTERM, _exit_on_sigterm)
        try:
            _check_current_folder()
            with told_of_names():
                _start(self)
        except (SpriteLoraError, HydraException, OmegaConfBaseException, YAMLError) as error:
            status = error.exit_status if isinstance(error, SpriteLoraError) else ConfigError.exit_status
            if self.check is accept_all or not _is_told_by_another(error):
                told = without_environment(explain(error, self.schema, list_groups(self.config_dir)))
                print(f"error: {told}", file=sys.stderr)  # noqa: T201
            sys.exit(status)
        except OSError as error:
            if not is_told(error):
                raise
            place = error.filename or "the disk"
            print(f"error: {place}: {error.strerror}; make room or give access, or name another", file=sys.stderr)  # noqa: T201
            sys.exit(TrainingError.exit_status)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)  # noqa: T201
            sys.exit(128 + signal.SIGINT)


def command(
    summary: str,
    example: str,
    options: str,
    schema: type[T],
    rewrite: Rewrite = keep_overrides,
    check: Check = accept_all,
    fills_folder: bool = False,
) -> Callable[[Callable[[T, Invocation], Any]], Command]:
    """Make a command of a function of settings and invocation, which gives it its name."""
    return lambda task: Command(summary, example, options, schema, rewrite, check, fills_folder, task)


def _is_told_by_another(error: Exception) -> bool:
    """Whether the first process of the run says the same: a mistake in what was typed is the same in all."""
    with suppress(ConfigError):  # variables that do not tell which process this is: each says so
        return is_follower() and (not isinstance(error, SpriteLoraError) or isinstance(error, ConfigError))
    return False


def _exit_on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _start(command: Command) -> None:
    task, schema, rewrite, check = command.task, command.schema, command.rewrite, command.check
    config_dir, name = command.config_dir, Path(command.options).name
    ConfigStore.instance().store(name=f"{name}_schema", node=schema)
    line = split(sys.argv[1:], list(schema_paths(schema)), list_groups(config_dir))
    check_typed(line.overrides, schema)
    if follows := check is not accept_all and is_follower():
        line = CommandLine(line.flags, [o for o in line.overrides if not o.startswith("output=")])
    _check_output(line)
    typed = line = continue_sweep(line)
    groups = _groups(config_dir, line)
    check_group_options(line.overrides, groups)
    line = settle_auto(line, config_dir, name, schema)
    line = CommandLine(line.flags, to_grammar(rewrite(line.overrides, line.is_multirun), schema))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises; it does not print and exit
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    in_home, whole = list[str](), None
    if not line.is_about_hydra:
        jobs = jobs_to_check(line, swept_by_files(line, config_dir, name))
        for overrides in jobs:
            whole = compose_config(config_dir, name, overrides, line.config_dirs, with_hydra=True)
            config, in_home = without_hydra(whole), folders_in_home(whole)
            if line.wants_help:
                print(render_help(command.purpose, schema, groups, config))  # noqa: T201
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
        line = CommandLine(line.flags, [*line.overrides, *in_home])
        if line.is_multirun and line.shows_only:  # Hydra shows no sweep: its first job
            line = CommandLine([f for f in line.flags if f not in ("-m", "--multirun")], jobs[0])
    if whole is None or line.shows_only:
        _hand_over(command, line)
    elif line.is_multirun and schema is TrainConfig:
        line, sweep = settle_sweep(line, typed.overrides, asked_folder(whole, SWEEP_FOLDER), whole)
        _hand_over(command, line)
        end_sweep(sweep)
    else:
        key, log_name = SWEEP_FOLDER if line.is_multirun else RUN_FOLDER, f"{whole.hydra.job.name}.log"
        with opened(asked_folder(whole, key), log_name, _check_of_folder(command, whole, log_name)) as folder:
            _hand_over(command, with_folder(line, key, folder))


def _check_of_folder(command: Command, config: DictConfig, log_name: str) -> Callable[[Path], None]:
    """A function that refuses a folder with files in it, but for a run that goes on in its own."""

    def check(folder: Path) -> None:
        resumed = config.get("resume")
        if resumed and is_same(Path(resumed), folder):
            check_links(folder)
        elif command.fills_folder:
            check_unoccupied(folder, log_name)

    return check


def _hand_over(command: Command, line: CommandLine) -> None:
    """Let Hydra start the command."""
    logging.raiseExceptions = False  # a log on a full disk costs its lines, not the run
    more = [] if line.is_about_hydra else search_path(line.config_dirs)
    sys.argv[1:] = [*line.other_flags, *line.overrides, *more]
    _run(command.task, command.config_dir, Path(command.options).name, command.schema)


def _check_current_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the current folder has been removed: change to another (cd), and type it again") from error


def _check_output(line: CommandLine) -> None:
    for override in line.overrides:
        key, _, value = override.partition("=")
        if key == "output":
            check_name(key, value.strip("'\""))


def _run(task: Callable[[T, Invocation], Any], config_dir: Path, name: str, schema: type[T]) -> None:
    failures: list[SpriteLoraError] = []

    def job(raw: DictConfig) -> Any:
        settings = HydraConfig.get()
        is_sweep = settings.mode == RunMode.MULTIRUN
        if is_sweep and settings.runtime.choices["hydra/launcher"] == "joblib":
            hold_gpu()
        run_dir = Path(settings.runtime.output_dir)
        sweep, storage = (Path(settings.sweep.dir).name, settings.sweeper.get("storage")) if is_sweep else (None, None)
        call = Invocation(run_dir, tuple(settings.overrides.task), sweep, storage)
        prepare_libraries()
        if is_sweep and schema is TrainConfig:
            of_hydra = run_dir / (settings.output_subdir or ".hydra")
            return run_job(
                lambda r, c: task(load(r, schema), c), raw, call, settings.job.num, _explained(schema), of_hydra
            )
        try:
            with claimed(run_dir) if is_sweep else nullcontext(), told_of_names():
                try:
                    return task(load(raw, schema), call)
                finally:
                    if is_sweep:
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
