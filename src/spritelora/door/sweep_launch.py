"""A sweep at the door: planned before Hydra launches it, each job recorded from inside, the table at its end.

What a job does here works under any launcher and sweeper: it is told by files alone.
"""

import difflib
import gc
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spritelora.config.command_line import CommandLine
from spritelora.config.invocation import Invocation
from spritelora.config.overrides import Overrides
from spritelora.config.train.schema import TrainConfig
from spritelora.diffusion.bands import timestep_bands
from spritelora.door.run_folder import (
    AskedFolder,
    RunInUse,
    check_links,
    check_unoccupied,
    claimed,
    make_folder,
    with_folder,
)
from spritelora.door.sweep_resume import check_same_sweep, in_own_subfolder
from spritelora.errors import ConfigError, SpriteLoraError, TrainingError, first_line
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS, Direction
from spritelora.locks import held
from spritelora.program import typed
from spritelora.runs.layout import FINAL, is_run
from spritelora.runs.output import HYDRA
from spritelora.runs.sweep_record import (
    JobRecord,
    JobStatus,
    SweepRecord,
    is_sweep,
    job_folders,
    now,
    read_job,
    read_sweep,
    write_job,
    write_sweep,
)
from spritelora.streams import say

log = logging.getLogger(__name__)

SETTLING = ".settling"
"""A lock: one process at a time looks at a sweep's record and writes it."""
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
COSTS = ("time_s", "step_time_s", "peak_gb", "file_mb")
OF_OTHER_IMAGES = ("clip", "copy_distance")
"""Metrics that sample images are not measured by."""

SDXL_TIMESTEPS = 1000


def check_objective(config: TrainConfig) -> None:
    """Raise ConfigError unless `sweep.objective` is a column that the results will have, better when smaller."""
    name = config.sweep.objective
    bands = timestep_bands(config.validation.bands, SDXL_TIMESTEPS)
    losses = ["validation_loss", *(f"validation_loss_{first}_{last}" for first, last in bands)]
    metrics = [COLOUR_DISTANCE, *METRICS.values()]
    lower = [m.name for m in metrics if m.direction is Direction.LOWER and m.name not in OF_OTHER_IMAGES]
    known = [*losses, *lower, *COSTS]
    if name in lower and not config.trainer.sample_every:
        raise ConfigError(f"sweep.objective={name} is measured on sample images; set trainer.sample_every above 0")
    if name in METRICS and name not in known:
        raise ConfigError(f"sweep.objective={name} is not better when smaller; take one of {', '.join(known)}")
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
        raise ConfigError(f"sweep.objective={name}: the results have no such column: {hint}")


def settle_sweep(
    line: CommandLine, typed: Sequence[str], asked: AskedFolder, config: DictConfig
) -> tuple[CommandLine, Path]:
    """Make the sweep's folder, write its record there, and name the folder to Hydra.

    `typed`: the overrides before they were rewritten. `config`: of one of the jobs, with Hydra's own part. Raises
    ConfigError where the folder holds another sweep or cannot be made: that may have come since the last look.
    """
    objective = str(config.sweep.objective)
    folder = make_folder(asked)
    with held(folder / SETTLING, wait=True):
        if is_sweep(folder):
            check_same_sweep(folder, typed)
            for place in (folder, *job_folders(folder).values()):
                check_links(place)
            record = replace(read_sweep(folder), objective=objective, launched=now())
            jobs = [read_job(path) for path in job_folders(folder).values()]
            _tell_going_on(folder, sum(job is not None and job.status.is_over for job in jobs), record.jobs)
            line = in_own_subfolder(line)
        else:
            check_unoccupied(folder, SETTLING)
            flags = [f"--config-dir={place.resolve()}" for place in line.config_dirs]
            record = SweepRecord(flags, [*typed], list_jobs(line.overrides, config), objective, now())
        write_sweep(folder, record)
    return with_folder(line, "hydra.sweep.dir", folder), folder


def _tell_going_on(folder: Path, num_over: int, jobs: Sequence[Sequence[str]] | None) -> None:
    """Say what is kept of a sweep that goes on."""
    of_all = f" of {len(jobs)}" if jobs is not None else ""
    say(f"{folder} goes on: {num_over}{of_all} jobs are finished and are kept")


def list_jobs(overrides: Sequence[str], config: DictConfig) -> list[list[str]] | None:
    """The overrides of every job, hydra's own apart; None where the sweeper is not Hydra's plain one."""
    sweeper = config.hydra.sweeper
    if sweeper._target_ != BASIC_SWEEPER:
        return None
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *overrides])
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return [[o for o in Overrides(job) if not o.is_hydras] for job in jobs]


def run_job(
    task: Callable[[DictConfig, Invocation], Any],
    raw: DictConfig,
    call: Invocation,
    number: int,
    explain: Callable[[Exception], str],
    of_hydra: Path,
) -> float:
    """Run one job of a sweep, record how it went, and bring the results up to date. Returns the objective.

    A job that is over already is not run again, one that was stopped or killed goes on. NaN stands for a job without
    an objective: it failed, or it is left out. `of_hydra`: the folder that Hydra wrote for this start; one that no
    other process has goes where nothing is run. Raises what ends the whole sweep: SystemExit and KeyboardInterrupt.
    """
    sweep, earlier = read_sweep(call.run_dir.parent), read_job(call.run_dir)
    if earlier is not None and earlier.status.is_over:
        _remove_own(of_hydra)
        return _as_float(earlier.objective)
    try:
        with claimed(call.run_dir):
            record = JobRecord(number, list(call.overrides), JobStatus.running, now())
            if earlier is not None and earlier.status is JobStatus.stopped:
                record = replace(record, elapsed_s=earlier.elapsed_s)
            failed = _failed_since(call.run_dir.parent, sweep.launched) if raw.sweep.stop_on_failure else []
            if failed:
                error = f"job {failed[0]} failed (sweep.stop_on_failure)"
                record = replace(record, status=JobStatus.left_out, error=error)
            elif (call.run_dir / FINAL).is_dir():  # killed between its end and the end of its record
                record = replace(record, status=JobStatus.finished)
            else:
                record = _run(task, raw, call, record, sweep, explain)
            return _as_float(_close(call.run_dir, record, sweep).objective)
    except RunInUse:
        log.warning("job %d is run by another process", number)
        _remove_own(of_hydra)
        return math.nan


def _remove_own(of_hydra: Path) -> None:
    """Remove what Hydra wrote for this start alone; the first start's folder holds those of all later ones."""
    if of_hydra.name != HYDRA:
        shutil.rmtree(of_hydra, ignore_errors=True)


def _run(
    task: Callable[[DictConfig, Invocation], Any],
    raw: DictConfig,
    call: Invocation,
    record: JobRecord,
    sweep: SweepRecord,
    explain: Callable[[Exception], str],
) -> JobRecord:
    started = time.monotonic()

    def note_first_step() -> None:
        nonlocal record
        record = replace(record, first_step_s=round(time.monotonic() - started, 3))
        write_job(call.run_dir, record)

    def ended(status: JobStatus, error: str | None = None) -> JobRecord:
        elapsed_s = round(record.elapsed_s + time.monotonic() - started, 3)
        return replace(record, status=status, elapsed_s=elapsed_s, error=error)

    write_job(call.run_dir, record)
    if is_run(call.run_dir):
        OmegaConf.update(raw, "resume", str(call.run_dir))
    try:
        task(raw, replace(call, on_first_step=note_first_step))
    except Exception as error:
        is_foreseen = isinstance(error, SpriteLoraError | OmegaConfBaseException)
        told = explain(error) if is_foreseen else f"{type(error).__name__}: {first_line(error)}"
        status = JobStatus(getattr(error, "job_status", "failed"))
        if status is JobStatus.failed:
            log.error("error: %s", told, exc_info=None if is_foreseen else error)
        return ended(status, told)
    except BaseException:  # SIGTERM and Ctrl-C
        is_whole = (call.run_dir / FINAL).is_dir()
        _close(call.run_dir, ended(JobStatus.finished if is_whole else JobStatus.stopped), sweep)
        raise
    return ended(JobStatus.finished)


def _close(run_dir: Path, record: JobRecord, sweep: SweepRecord) -> JobRecord:
    """Write a job's last word with its objective, and the results."""
    gc.collect()  # what a job leaves behind is freed before the next one, which starts the sooner
    from spritelora.sweeps.results import read_objective, write_results

    if record.status.is_over:
        record = replace(record, objective=read_objective(run_dir, sweep.objective))
    write_job(run_dir, record)
    write_results(run_dir.parent)
    return record


def end_sweep(folder: Path) -> None:
    """Print the table. Raises TrainingError where jobs failed."""
    from spritelora.sweeps.results import PAGE, to_text, write_results

    rows = write_results(folder)
    say(to_text(rows, read_sweep(folder).objective))
    say(f"results: {folder / PAGE}")
    lacking = [row for row in rows if row.cells["status"] in ("failed", "stopped", "left_out", "waiting")]
    if lacking:
        raise TrainingError(
            f"{len(lacking)} of {len(rows)} jobs did not finish: {', '.join(row.name for row in lacking)}; "
            f"to run them again: {typed('train', f'resume={folder}')}"
        )


def _failed_since(folder: Path, launched: str) -> list[int]:
    """The jobs that failed since the newest start of their sweep."""
    jobs = {number: read_job(path) for number, path in job_folders(folder).items()}
    return [n for n, job in jobs.items() if job and job.status is JobStatus.failed and job.started >= launched]


def _as_float(value: float | None) -> float:
    return math.nan if value is None else value
