"""A command's task as a job of Hydra's: in the folder that Hydra made, with its settings checked."""

import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from spritelora.config.command_line import CommandLine
from spritelora.config.invocation import Invocation
from spritelora.config.strict import load
from spritelora.config.train.schema import TrainConfig
from spritelora.door.compose import HYDRA_VERSION, search_path
from spritelora.door.explain import explain
from spritelora.door.launchers import hold_gpu
from spritelora.door.run_folder import claimed, remove_if_unused
from spritelora.door.sweep_launch import run_job
from spritelora.errors import SpriteLoraError
from spritelora.file_names import told_of_names
from spritelora.process import prepare_libraries

T = TypeVar("T")


def run_under_hydra(
    line: CommandLine, task: Callable[[T, Invocation], Any], schema: type[T], config_dir: Path, name: str
) -> None:
    """Let Hydra run a task: once, or as the jobs of a sweep. `config_dir`, `name`: of its options."""
    logging.raiseExceptions = False  # a log on a full disk costs its lines, not the run
    more = [] if line.is_about_hydra else search_path(line.config_dirs)
    sys.argv[1:] = [*line.other_flags, *line.overrides, *more]
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


def run_quietly(line: CommandLine, task: Callable[[T, Invocation], Any], settings: T) -> None:
    """Run a task as another process than its run's first, which has Hydra's part: folders, records, the log."""
    logging.disable()
    prepare_libraries()
    task(settings, Invocation(Path(), tuple(line.overrides)))


def _explained(schema: type[Any]) -> Callable[[Exception], str]:
    return lambda error: explain(error, schema)
