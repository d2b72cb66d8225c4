"""The one way a command starts: Hydra composes, the strict loader checks, the task runs."""

import dataclasses
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import hydra
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from hydra_plugins.spritelora_search.optuna_sweeper import OptunaSweeperConf
from spritelora.config.command_line import CommandLine, check_group_options, list_groups, split, to_grammar
from spritelora.config.fields import declared_path
from spritelora.config.invocation import Invocation
from spritelora.config.strict import load, schema_paths, suggest
from spritelora.config.train.hardware_keys import NO_MPS
from spritelora.config.train.processes import is_follower
from spritelora.config.train.schema import TrainConfig
from spritelora.config.values import check_typed, empty_problem, keys_below, section_problem
from spritelora.door.auto_resume import settle_auto
from spritelora.door.compose import HYDRA_VERSION, compose_config, folders_in_home, without_hydra
from spritelora.door.help import render_help
from spritelora.door.launchers import hold_gpu
from spritelora.door.run_folder import claimed, folders_named, remove_if_unused
from spritelora.door.sweep_choices import jobs_to_check, swept_by_files
from spritelora.door.sweep_launch import check_objective, end_sweep, run_job, settle_sweep
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError, SpriteLoraError
from spritelora.file_names import check_name, told_of_names
from spritelora.files import is_same
from spritelora.process import prepare_libraries
from spritelora.program import options_root, typed
from spritelora.streams import lasting_streams

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


@dataclass(frozen=True)
class Command:
    """A command: called, it runs from the `key=value` arguments of this process.

    `example`: what may follow its name. `options`: its configuration below the folder of `options_root()`, without
    the end of the file's name. `rewrite` may change the overrides before they are checked. `check`, of a command that
    may run in several processes, refuses settings for reasons of the whole command line.
    """

    summary: str
    example: str
    options: str
    schema: type[Any]
    rewrite: Rewrite
    check: Check
    task: Callable[[Any, Invocation], Any]

    @property
    def name(self) -> str:
        """The word that starts it."""
        return self.task.__name__

    @property
    def purpose(self) -> str:
        """What it does, and an example of how it is typed."""
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
            with told_of_names():
                _start(self)
        except (SpriteLoraError, HydraException, OmegaConfBaseException) as error:
            status = error.exit_status if isinstance(error, SpriteLoraError) else ConfigError.exit_status
            if self.check is accept_all or not _is_told_by_another(error):
                print(f"error: {explain(error, self.schema, list_groups(self.config_dir))}", file=sys.stderr)  # noqa: T201
            sys.exit(status)
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
) -> Callable[[Callable[[T, Invocation], Any]], Command]:
    """Make a command of a function of settings and invocation, which gives it its name."""
    return lambda task: Command(summary, example, options, schema, rewrite, check, task)


def explain(error: Exception, schema: type[Any], groups: Collection[str] = ()) -> str:
    """The error in the user's terms, without Hydra's advice to add '+', which would hide a typo."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(error, OverrideParseException):
        return (
            f"'{error.override.lstrip('+')}' cannot be read: put a text that has signs besides letters and digits into "
            f"quotes; in brackets and braces, each one"
        )
    file = re.match(r"In '(.*?)'", str(error))
    where = f" in conf/{file[1]}.yaml" if file else ""
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _explain_key(cause, where, schema, groups)
    if merged := re.search(r"Merge error: \w+ is not a subclass of (\w+)\. value: (.*)", str(error)):
        for path, kind in schema_paths(schema).items():
            if getattr(kind, "__name__", "") == merged[1]:
                return section_problem(path, merged[2], keys_below(path, _all_paths(schema)), path in groups, where)
    if isinstance(error, HydraException):
        return str(error).partition("\nSee ")[0].partition("\nConfig search path")[0].strip()
    return str(error)


def _explain_key(cause: OmegaConfBaseException, where: str, schema: type[Any], groups: Collection[str]) -> str:
    """What is wrong with a key or its value. `where`: the file that has it, as the end of a name."""
    name, kinds, said = str(cause.full_key), schema_paths(schema), str(cause).splitlines()[0]
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return f"unknown key '{name}'{where}: {suggest(name, _all_paths(schema))}"
    keys = keys_below(name, _all_paths(schema))
    if keys or str(kinds.get(declared_path(name, kinds))).startswith("dict"):
        value = cause.value if cause.value is not None or "Optional" in said else "a list"
        return section_problem(name, value, keys, name in groups, where)
    if cause.value == "":
        return empty_problem(f"{name}{where}")
    if name.endswith("device") and "'mps'" in said:
        return f"{name}=mps: {NO_MPS}"
    if of_two_types := re.match(r"Value '(.*)' of type '\w+' is incompatible with type hint '.*Union\[(.*?)\]", said):
        accepted = ", or ".join(TYPE_WORDS[kind] for kind in of_two_types[2].split(", "))
        return f"{name} must be {accepted}, got '{of_two_types[1]}'"
    if "is not Optional" in said or said.startswith("Incompatible value 'None'"):
        return f"{name}{where} cannot be null: give it a value, or leave it out for its default"
    return f"{name}: {said}"


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
    sweep, in_home = None, list[str]()
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
        elif line.is_multirun and schema is TrainConfig:
            whole = compose_config(config_dir, name, [*jobs[0], *in_home], line.config_dirs, with_hydra=True)
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
