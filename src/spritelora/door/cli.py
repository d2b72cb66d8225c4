"""The one way a command starts: Hydra composes, the strict loader checks, the task runs."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from spritelora.config.command_line import CommandLine, check_group_options, list_groups, split, to_grammar
from spritelora.config.former_names import settle_typed
from spritelora.config.invocation import Invocation
from spritelora.config.strict import load, schema_paths
from spritelora.config.train.processes import is_follower
from spritelora.config.train.schema import TrainConfig
from spritelora.door.auto_resume import settle_auto
from spritelora.door.compose import compose_config, folders_in_home, without_hydra
from spritelora.door.explain import explain, without_environment
from spritelora.door.help import render_help
from spritelora.door.hydra_job import run_quietly, run_under_hydra
from spritelora.door.run_folder import (
    asked_folder,
    check_contents,
    opened,
    with_folder,
)
from spritelora.door.sweep_choices import jobs_to_check, swept_by_files
from spritelora.door.sweep_launch import check_objective, end_sweep, settle_sweep
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError, LostConnection, SpriteLoraError, TrainingError
from spritelora.file_names import check_name, told_of_names
from spritelora.files import is_told
from spritelora.program import options_root, typed
from spritelora.streams import complain, lasting_streams, say

T = TypeVar("T")
Rewrite = Callable[[Sequence[str], bool], list[str]]
Check = Callable[[Any, CommandLine], None]

SAME_IN_ALL = (ConfigError, LostConnection)
"""Errors that every process of a run has with the first one."""
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

    @property
    def config_name(self) -> str:
        """The name of its configuration there."""
        return Path(self.options).name

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
                complain(f"error: {told}")
            sys.exit(status)
        except OSError as error:
            if not is_told(error):
                raise
            place = error.filename or "the disk"
            complain(f"error: {place}: {error.strerror}; make room or give access, or name another")
            sys.exit(TrainingError.exit_status)
        except KeyboardInterrupt:
            complain("interrupted")
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
        return is_follower() and (not isinstance(error, SpriteLoraError) or isinstance(error, SAME_IN_ALL))
    return False


def _exit_on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _start(command: Command) -> None:
    """Read what was typed, settle what goes on, check every job, and hand over to Hydra."""
    ConfigStore.instance().store(name=f"{command.config_name}_schema", node=command.schema)
    follows = command.check is not accept_all and is_follower()
    asked = continue_sweep(_read_line(command, follows))
    groups = _groups(command.config_dir, asked)
    check_group_options(asked.overrides, groups)
    line = _settle_line(command, asked)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises; it does not print and exit
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    if line.is_about_hydra:
        return _hand_over(command, line)
    jobs = jobs_to_check(line, swept_by_files(line, command.config_dir, command.config_name))
    if line.wants_help:
        config = _compose(command, line, jobs[0])
        return say(render_help(command.purpose, command.schema, groups, config, line.wants_all_keys))
    if follows:
        return _follow(command, line, jobs[0])
    whole = [_check_job(command, line, job) for job in jobs][-1]
    line = line.with_overrides([*line.overrides, *folders_in_home(whole)])
    if line.shows_only:
        return _show(command, line, jobs[0])
    if line.is_multirun and command.schema is TrainConfig:
        return _sweep(command, line, asked, whole)
    return _run_in_folder(command, line, whole)


def _read_line(command: Command, follows: bool) -> CommandLine:
    """The command line, each text looked at by itself. `follows`: another process of the run settles its folder."""
    line = split(sys.argv[1:], list(schema_paths(command.schema)), list_groups(command.config_dir))
    overrides, notes = settle_typed(line.overrides, command.schema)
    line = line.with_overrides(overrides)
    line = line.with_overrides(line.overrides.without("output")) if follows else line
    for override in line.overrides:
        if override.key == "output":
            check_name("output", override.text)
    for note in [] if follows else notes:
        complain(note)
    return line


def _settle_line(command: Command, asked: CommandLine) -> CommandLine:
    """The command line in Hydra's grammar, a run that goes on with the settings it was begun with."""
    line = settle_auto(asked, command.config_dir, command.config_name, command.schema)
    return line.with_overrides(to_grammar(command.rewrite(line.overrides, line.is_multirun), command.schema))


def _compose(command: Command, line: CommandLine, job: list[str]) -> DictConfig:
    return compose_config(command.config_dir, command.config_name, job, line.config_dirs, with_hydra=True)


def _check_job(command: Command, line: CommandLine, job: list[str]) -> DictConfig:
    """A job's configuration with Hydra's part. Raises ConfigError where its settings are wrong."""
    whole = _compose(command, line, job)
    settings = load(without_hydra(whole), command.schema)
    command.check(settings, line)
    if isinstance(settings, TrainConfig):
        check_objective(settings)
    return whole


def _follow(command: Command, line: CommandLine, job: list[str]) -> None:
    """Run the task as another process than the run's first, which has Hydra's part: folders, records, the log."""
    settings = load(without_hydra(_compose(command, line, job)), command.schema)
    command.check(settings, line)
    run_quietly(line, command.task, settings)


def _show(command: Command, line: CommandLine, job: list[str]) -> None:
    """Let Hydra show what it is asked for; of a sweep, which it does not show, the first job."""
    _hand_over(command, line.of_job(job) if line.is_multirun else line)


def _sweep(command: Command, line: CommandLine, asked: CommandLine, config: DictConfig) -> None:
    line, sweep = settle_sweep(line, asked.overrides, asked_folder(config, SWEEP_FOLDER), config)
    _hand_over(command, line)
    end_sweep(sweep)


def _run_in_folder(command: Command, line: CommandLine, config: DictConfig) -> None:
    """Run the task in a folder that this process holds. `config`: with Hydra's part."""
    key, log_name = SWEEP_FOLDER if line.is_multirun else RUN_FOLDER, f"{config.hydra.job.name}.log"

    def check(folder: Path) -> None:
        check_contents(folder, log_name, config.get("resume"), command.fills_folder)

    with opened(asked_folder(config, key), log_name, check) as folder:
        _hand_over(command, with_folder(line, key, folder))


def _hand_over(command: Command, line: CommandLine) -> None:
    run_under_hydra(line, command.task, command.schema, command.config_dir, command.config_name)


def _check_current_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the current folder has been removed: change to another (cd), and type it again") from error


def _groups(config_dir: Path, line: CommandLine) -> dict[str, list[str]]:
    groups = list_groups(config_dir)
    for folder in line.config_dirs:
        for group, options in list_groups(folder).items():
            groups[group] = [*groups.get(group, []), *options]
    return groups
