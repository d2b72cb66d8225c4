"""A sweep's results: a row for every job, as CSV, JSON and one page, rewritten whole after each job."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from spritelora.config.invocation import without_folders
from spritelora.config.overrides import Override, Overrides
from spritelora.evaluation.comparison import Cell, Row, columns, format_cell, sort_rows, title_of, to_csv
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS
from spritelora.files import without_nan, write_whole
from spritelora.locks import held
from spritelora.reports.comparison_page import Look, make_page
from spritelora.runs.layout import is_run
from spritelora.runs.metrics import read_sample_means
from spritelora.runs.sweep_record import JobRecord, SweepRecord, job_folders, read_job, read_sweep
from spritelora.sprites.pixels.image import Pixels
from spritelora.sweeps.rows import Entry, read_row
from spritelora.training.callbacks.samples import SAMPLES, SHEET

log = logging.getLogger(__name__)

Name = TypeVar("Name", int, str)

TABLE, RECORD, PAGE, LOCK = "results.csv", "results.json", "results.html", ".results.lock"
OF_SETTINGS = ("base", "rank", "alpha_over_rank", "lr", "optimizer", "weighting", "batch_size", "max_steps")
"""Columns of a comparison that are left out here: the overrides that differ say it."""

ON_TERMINAL = ("step_time_s", "time_s", "peak_gb", "file_mb", "problem")
MOST_CURVES, MOST_SHEETS, SHEET_PX, PROBLEM_CHARACTERS = 12, 24, 720, 60


def write_results(folder: Path) -> list[Row]:
    """Gather what every job has told so far, and write it. Returns the rows, best first.

    Any number of processes may call this at once. A disk that is full costs the files, not the sweep.
    """
    sweep = read_sweep(folder)
    with held(folder / LOCK, wait=True):
        jobs = read_jobs(folder, sweep)
        rows = sort_rows(read_rows(folder, jobs), sweep.objective, descending=None)
        try:
            write_whole(folder / TABLE, to_csv(rows))
            write_whole(folder / RECORD, _to_json(sweep, rows, jobs))
            write_whole(folder / PAGE, _to_page(folder, sweep, rows))
        except OSError as error:
            log.warning("%s: the results cannot be written (%s)", folder, error.strerror)
    return rows


def read_objective(run_dir: Path, name: str) -> float | None:
    """The value of a column of the results for one job, None where it has none."""
    cell = _row_of_run(run_dir, read_job(run_dir)).cells.get(name)
    return float(cell) if isinstance(cell, int | float) else None


def read_jobs(folder: Path, sweep: SweepRecord) -> dict[int, JobRecord | None]:
    """The record of every job, None of those that have not begun."""
    planned: dict[int, JobRecord | None] = dict.fromkeys(range(len(sweep.jobs or ())))
    return dict(sorted({**planned, **{n: read_job(path) for n, path in job_folders(folder).items()}}.items()))


def read_rows(folder: Path, jobs: Mapping[int, JobRecord | None]) -> list[Row]:
    """A row for each job, with a column for each override that is not the same for all."""
    planned = read_sweep(folder).jobs or []
    typed = {n: planned[n] if n < len(planned) else job.overrides if job else [] for n, job in jobs.items()}
    own = differing(typed)
    rows: list[Row] = []
    for number, job in jobs.items():
        row = _row_of_run(folder / str(number), job)
        rows.append(replace(row, cells={"name": str(number), **own[number], **row.cells}))
    return rows


def differing(overrides: Mapping[Name, Sequence[str]]) -> dict[Name, dict[str, Cell]]:
    """For each job or run the overrides that others do not share, by key."""
    values = {n: {o.key: o.text for o in Overrides(job)} for n, job in overrides.items()}
    keys = dict.fromkeys(key for job in values.values() for key in job)
    # a sweep that goes on in its folder leaves `output` out of the later jobs
    unlike = [key for key in keys if key != "output" and len({job.get(key) for job in values.values()}) > 1]
    return {n: {key: job.get(key) for key in unlike} for n, job in values.items()}


def to_text(rows: Sequence[Row], objective: str) -> str:
    """The table as a terminal shows it: what differs, the objective and the costs."""
    present = columns(rows)
    own = [*present[present.index("name") + 1 : present.index("status")], *(c for c in OF_SETTINGS if c in present)]
    losses = list(dict.fromkeys([objective, "validation_loss"]))
    shown = [c for c in ("name", *own, "status", *losses, *ON_TERMINAL) if c in present]
    lines = [[title_of(c) for c in shown], *([_short(c, row.cells.get(c)) for c in shown] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _row_of_run(run_dir: Path, job: JobRecord | None) -> Row:
    """The row of a job's folder, without its name and its overrides."""
    if job is None:
        return Row({"status": "waiting"})
    row = read_row(Entry(run_dir, "run", run_dir.name), None) if is_run(run_dir) else Row({})
    cells = {k: v for k, v in row.cells.items() if k not in OF_SETTINGS}
    steps, trained_s = cells.get("step"), cells.get("time_s")
    problem = job.error or cells.get("problem")
    told: dict[str, Cell] = {
        "status": job.status.value,
        **_sample_means(run_dir),
        "step_time_s": trained_s / steps if isinstance(steps, int) and steps and isinstance(trained_s, float) else None,
        "time_s": job.elapsed_s or None,
        "first_step_s": job.first_step_s,
        "path": run_dir.name,
        "problem": without_folders(str(problem)) if problem else None,
    }
    return replace(row, cells={**cells, **told})


def _sample_means(run_dir: Path) -> dict[str, Cell]:
    """The metrics of the last samples, where the run drew any."""
    means = read_sample_means(run_dir)
    return {name: mean for name, mean in means.items() if name in METRICS or name == COLOUR_DISTANCE.name}


def _to_json(sweep: SweepRecord, rows: Iterable[Row], jobs: Mapping[int, JobRecord | None]) -> str:
    planned = sweep.jobs or []
    told: list[dict[str, Any]] = []
    for row in rows:
        number = int(row.name)
        job = jobs[number]
        told.append({"overrides": job.overrides if job else planned[number], **row.cells})
    return json.dumps(without_nan({"objective": sweep.objective, "jobs": told}), indent=1) + "\n"


def _to_page(folder: Path, sweep: SweepRecord, rows: Sequence[Row]) -> str:
    shown = [row if at < MOST_CURVES else replace(row, losses={}) for at, row in enumerate(rows)]
    notes = [f"Loss curves are of the best {MOST_CURVES}."] if len(rows) > MOST_CURVES else []
    sheets = {row.name: sheet for row in rows[:MOST_SHEETS] if (sheet := _sheet(folder / row.name)) is not None}
    hidden = [replace(row, cells={k: v for k, v in row.cells.items() if k != "path"}) for row in shown]
    look = Look(
        title=f"Sweep {folder.name}",
        pictures="Samples: the base, the LoRA as it learns, training sprites",
        tile_px=SHEET_PX,
        labels={row.name: _label(row) for row in rows},
    )
    return make_page(hidden, sweep.objective, notes, {"": sheets} if sheets else {}, look)


def _label(row: Row) -> str:
    """A job's number and the overrides that set it apart."""
    known = list(row.cells)
    return label_of(row.name, {c: row.cells[c] for c in known[1 : known.index("status")]})


def label_of(name: str, own: Mapping[str, Cell]) -> str:
    """A name with the overrides that set it apart."""
    words = words_of(own)
    return f"{name}: {words}" if words else name


def words_of(own: Mapping[str, Cell]) -> str:
    """Overrides in short, as a person types them, without folders."""
    typed = [Override(f"{key.rpartition('.')[2]}={value}").plain for key, value in own.items() if value is not None]
    return " ".join(f"{override.key}={without_folders(override.value or '')}" for override in typed)


def _sheet(run_dir: Path) -> Pixels | None:
    with suppress(OSError), Image.open(run_dir / SAMPLES / SHEET) as image:
        return np.asarray(image.convert("RGB"))
    return None


def _short(column: str, cell: Cell) -> str:
    text = format_cell(column, cell).splitlines()[0]
    return text if len(text) <= PROBLEM_CHARACTERS else text[: PROBLEM_CHARACTERS - 3] + "..."
