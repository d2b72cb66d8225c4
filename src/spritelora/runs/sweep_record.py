"""A sweep and its jobs as their folders tell them: `sweep.json`, and a `job.json` that each job writes itself."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from spritelora.config.former_names import with_new_names
from spritelora.config.plain import from_plain
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ResumeError
from spritelora.files import read_json, without_nan, write_whole

SWEEP, JOB = "sweep.json", "job.json"


class JobStatus(StrEnum):
    """The state of a job. `stopped`: by a signal, to go on. `left_out`: after the failure of another."""

    running = "running"
    finished = "finished"
    failed = "failed"
    pruned = "pruned"
    stopped = "stopped"
    left_out = "left_out"

    @property
    def is_over(self) -> bool:
        """Whether a sweep that goes on keeps the job as it is."""
        return self in (JobStatus.finished, JobStatus.pruned)


@dataclass(frozen=True)
class JobRecord:
    """The record of a job. `started`: ISO time, UTC. `elapsed_s`: of all its lives, those apart that a kill ended.
    `first_step_s`: from the start to the first training step. `objective`: what sweepers minimise.
    """

    number: int
    overrides: list[str]
    status: JobStatus
    started: str
    elapsed_s: float = 0.0
    first_step_s: float | None = None
    objective: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class SweepRecord:
    """The record of a sweep. `flags`, `overrides`: as typed. `jobs`: the overrides of each job, None where a sweeper
    chooses them as it goes. `objective`: the column of the results that is minimised. `launched`: ISO time of the
    newest start, UTC.
    """

    flags: list[str]
    overrides: list[str]
    jobs: list[list[str]] | None
    objective: str
    launched: str


def now() -> str:
    """The time as the records hold it; such texts sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def write_job(run_dir: Path, record: JobRecord) -> None:
    """Write a job's record into its folder."""
    write_whole(run_dir / JOB, json.dumps(without_nan(asdict(record)), indent=1) + "\n")


def read_job(run_dir: Path) -> JobRecord | None:
    """The record in a job's folder; None where there is none, or one that no job here wrote."""
    try:
        record = from_plain(JobRecord, read_json(run_dir / JOB))
        return replace(record, overrides=with_new_names(record.overrides, TrainConfig))
    except (OSError, ValueError):
        return None


def is_sweep(folder: Path) -> bool:
    """Whether `folder` holds a sweep."""
    return (folder / SWEEP).is_file()


def write_sweep(folder: Path, record: SweepRecord) -> None:
    """Write a sweep's record into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / SWEEP, json.dumps(asdict(record), indent=1) + "\n")


def read_sweep(folder: Path) -> SweepRecord:
    """The record of a sweep. Raises ResumeError where it is damaged."""
    file = folder / SWEEP
    try:
        record = from_plain(SweepRecord, read_json(file))
        jobs = None if record.jobs is None else [with_new_names(job, TrainConfig) for job in record.jobs]
        return replace(record, overrides=with_new_names(record.overrides, TrainConfig), jobs=jobs)
    except (OSError, ValueError) as error:
        raise ResumeError(f"{file}: not a record of a sweep ({error}); resume its jobs one by one") from error


def job_folders(folder: Path) -> dict[int, Path]:
    """The folders of a sweep's jobs by their numbers, in order."""
    numbers = sorted(int(p.name) for p in folder.iterdir() if p.is_dir() and p.name.isdigit())
    return {n: folder / str(n) for n in numbers}
