"""Rows of runs and LoRA files: finished, stopped half way, or failed at once."""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.adapters.files.bases import EMBEDDED, base_of, require_sdxl
from spritelora.adapters.files.lora_file import PEFT_WEIGHTS, LoraFile, read_lora_file
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError, ResumeError, SpriteLoraError, WeightsError
from spritelora.evaluation.colour_distance import read_colours
from spritelora.evaluation.comparison import Cell, Row, as_values
from spritelora.file_names import tell_apart
from spritelora.files import read_json
from spritelora.runs.layout import CHECKPOINT_PATTERN, COLOUR_PROFILES, FINAL, LORA_FILE, RECORD, VALIDATION, is_run
from spritelora.runs.metrics import LINES, read_events, series, training_time_s
from spritelora.runs.record import RunRecord
from spritelora.runs.sweep_record import read_job
from spritelora.training.callbacks.checkpoints import checkpoint_step, newest_checkpoint

SWEEP = "multirun.yaml"
LOSS = "validation_loss"


@dataclass(frozen=True)
class Entry:
    """One thing to compare. `kind`: run, file, or failed, which left no record."""

    path: Path
    kind: str
    name: str


def find_entries(places: Sequence[str], names: Sequence[str]) -> list[Entry]:
    """The runs, files and jobs of sweeps in these places. Raises ConfigError for what is none of them."""
    entries = [entry for place in places for entry in _expand(Path(place))]
    if names and len(names) != len(entries):
        raise ConfigError(f"names has {len(names)} names for {len(entries)} rows; give one for each")
    if names:
        entries = [Entry(e.path, e.kind, name) for e, name in zip(entries, names, strict=True)]
    return _named_apart(entries)


def _expand(path: Path) -> Iterator[Entry]:
    if not path.exists():
        raise ConfigError(
            f"runs: {path}: no such folder or file; give run folders, LoRA files or the folder of a sweep"
        )
    if path.is_file() or (path / PEFT_WEIGHTS).is_file():
        is_ours = path.name == LORA_FILE
        yield Entry(path, "file", path.parent.parent.name if is_ours else path.stem)
    elif is_run(path):
        yield Entry(path, "run", path.name)
    else:
        jobs = {int(p.name): p for p in path.iterdir() if p.is_dir() and p.name.isdigit()}
        if not jobs and not (path / SWEEP).is_file():
            raise ConfigError(f"runs: {path}: neither a run folder ({RECORD}) nor that of a sweep, nor a LoRA file")
        for number in range(max(jobs, default=-1) + 1):  # a job that fails on its settings leaves no folder
            job = path / str(number)
            yield Entry(job, "run" if is_run(job) else "failed", f"{path.name}/{number}")


def _named_apart(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of one name by their paths from the folder that all of them lie in."""
    names = Counter(e.name for e in entries)
    alike = [e.path.resolve() for e in entries if names[e.name] > 1]
    shared = Path(os.path.commonpath(alike)) if len({*alike}) > 1 else None
    apart = [
        Entry(e.path, e.kind, e.path.resolve().relative_to(shared).as_posix()) if shared and names[e.name] > 1 else e
        for e in entries
    ]
    told = tell_apart(e.name for e in apart)
    return [Entry(e.path, e.kind, name) for e, name in zip(apart, told, strict=True)]


def read_rows(entries: Sequence[Entry], validations: Mapping[str, Path]) -> list[Row]:
    """The row of each entry. Raises WeightsError for all files that are no LoRAs for SDXL."""
    rows: list[Row] = []
    problems: list[str] = []
    for entry in entries:
        try:
            rows.append(read_row(entry, validations[entry.name]))
        except WeightsError as error:
            problems.append(str(error))
    if problems:
        raise WeightsError("\n  ".join(problems))
    return rows


def read_row(entry: Entry, validation: Path | None) -> Row:
    """Everything an entry tells, never raising for a bad run; WeightsError for a file that is no LoRA for SDXL.

    `validation`: where a record of its validation may be, None to read none.
    """
    try:
        if entry.kind == "failed":
            return Row({"name": entry.name, "status": "failed", "problem": _last_error(entry.path)})
        row = _file_row(entry) if entry.kind == "file" else _run_row(entry)
    except SpriteLoraError as error:
        if entry.kind == "file":
            raise
        return Row({"name": entry.name, "status": "failed", "problem": f"record is damaged: {error}"})
    try:
        return row if validation is None else _with_validation(row, validation)
    except ConfigError as error:
        return Row({**row.cells, "problem": str(error)}, row.losses)


def lora_of(entry: Entry) -> Path | None:
    """The LoRA file of an entry, the run's final or newest, None where it has none."""
    if entry.kind != "run":
        return entry.path if entry.kind == "file" else None
    final = entry.path / FINAL
    try:
        folder = final if final.is_dir() else newest_checkpoint(entry.path)
    except ResumeError:
        return None
    return folder / LORA_FILE if folder is not None and (folder / LORA_FILE).is_file() else None


def _run_row(entry: Entry) -> Row:
    record, events = RunRecord.read(entry.path), read_events(entry.path / LINES)
    settings, lora = record.settings, lora_of(entry)
    rank, steps = settings.lora.rank, settings.trainer.max_steps
    names = (CHECKPOINT_PATTERN.fullmatch(file.name) for file in entry.path.iterdir())
    saved = [int(found[2]) for found in names if found and found[2]]
    step = max([*(event.step for event in events), *saved], default=0)
    ends_at_best = bool(settings.trainer.patience)
    is_finished = (entry.path / FINAL).is_dir() and (step >= steps or ends_at_best)
    result_step = checkpoint_step(entry.path / FINAL) if is_finished and ends_at_best else step
    last = {name: value for e in events if e.step <= result_step for name, value in e.values.items()}
    time_s = training_time_s(events)
    cells: dict[str, Cell] = {
        "name": entry.name,
        "status": "finished" if is_finished else "unfinished",
        "base": _base_of_run(record),
        "rank": rank,
        "alpha_over_rank": _strength(settings),
        "lr": settings.optim.lr,
        "step": step,
        "max_steps": steps,
        "optimizer": settings.optim._target_.rpartition(".")[2],
        "weighting": settings.weighting["_target_"].rpartition(".")[2],
        "batch_size": settings.trainer.batch_size * settings.trainer.accumulate,
        **{name: _finite(value) for name, value in last.items() if name.startswith(LOSS)},
        "time_s": None if time_s is None else round(time_s, 1),
        "peak_gb": max((peak for _, peak in series(events, "peak_gb")), default=None),
        "file_mb": lora.stat().st_size / 1e6 if lora else None,
        "problem": None if is_finished else _last_error(entry.path, f"stopped at step {step} of {steps}"),
    }
    names = sorted({n for e in events for n in e.values if n.startswith(LOSS)}, key=lambda n: (len(n.split("_")), n))
    losses = {
        name.removeprefix(LOSS).strip("_"): [(float(step), float(loss)) for step, loss in series(events, name)]
        for name in names
    }
    return Row(cells, losses)


def _strength(settings: TrainConfig) -> float:
    """The scale of a run's change: alpha/rank, with rsLoRA alpha/sqrt(rank)."""
    rank, is_stabilised = settings.lora.rank, settings.adapter.kind is AdapterKind.rslora
    return (settings.lora.alpha or rank) / (rank**0.5 if is_stabilised else rank)


def _file_row(entry: Entry) -> Row:
    lora = read_lora_file(entry.path)
    require_sdxl(lora)
    told = lora.metadata
    ranks, ratios = ({f(c) for c in lora.everything.values()} for f in (lambda c: c.rank, lambda c: c.alpha / c.rank))
    size = (lora.path if lora.path.is_file() else entry.path).stat().st_size
    return Row(
        {
            "name": entry.name,
            "status": "file",
            "base": _base_of_file(lora),
            "rank": ranks.pop() if len(ranks) == 1 else f"{min(ranks)} to {max(ranks)}",
            "alpha_over_rank": ratios.pop() if len(ratios) == 1 else "various",
            "lr": _number(told.get("ss_learning_rate")),
            "step": _number(told.get("ss_steps")),
            "max_steps": _number(told.get("ss_max_train_steps")),
            "optimizer": told.get("ss_optimizer", "").rpartition(".")[2] or None,
            "batch_size": _number(told.get("ss_batch_size_per_device")),
            "file_mb": size / 1e6,
        }
    )


def _base_of_run(record: RunRecord) -> str:
    """The name of the base in a LoRA file of the run."""
    path, folder = record.settings.model.path, Path(record.model.folder)
    return folder.name if path is None or Path(path).is_dir() or path.startswith(("/", ".", "~")) else path


def _base_of_file(lora: LoraFile) -> str:
    return lora.metadata.get("ss_sd_model_name") or ("tiny-sdxl" if base_of(lora) == EMBEDDED.name else base_of(lora))


def _with_validation(row: Row, folder: Path) -> Row:
    """The row with what a validation in this folder found at its best strength."""
    file = folder / VALIDATION
    if not file.is_file():
        return row
    try:
        found = read_json(file)
        key = f"{found['shown_strength']:g}"
        of_set = ("colour_distance", "usable", "copies_of_new_prompts")
        shares = {name: found["shares"][key].get(name) for name in of_set}
        by_metric = {name: m["by_strength"][key] for name, m in found["metrics"].items()}
        cells = {"strength": found["best_strength"], **shares, **{n: m["mean"] for n, m in by_metric.items()}}
        values = {name: as_values(m["values"]) for name, m in by_metric.items()}
        told = found["settings"]
        same = ("resolution", "steps", "guidance", "negative_prompt", "seed", "images_per_prompt")
        drawn_as = json.dumps([{k: told[k] for k in same}, [p["prompt"] for p in found["prompts"]]])
        colours = read_colours(folder / COLOUR_PROFILES, found["shown_strength"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise ConfigError(f"{file}: not a record of a validation ({error}); validate again: overwrite=true") from error
    return Row({**row.cells, **cells}, row.losses, values, drawn_as, colours)


def _last_error(folder: Path, otherwise: str = "left no record: it failed before the first step") -> str:
    """The error in a job's record; without one the last in its log."""
    job = read_job(folder)
    if job is not None and job.error is not None:
        return f"{otherwise}: {job.error}" if otherwise.startswith("stopped") else job.error
    for file in sorted(folder.glob("*.log")) if folder.is_dir() else ():
        errors = re.findall(r"ERROR (?:error: )?(.+)", file.read_text(encoding="utf-8", errors="replace"))
        if errors:
            return f"{otherwise}: {errors[-1]}" if otherwise.startswith("stopped") else errors[-1]
    return otherwise


def _number(value: str | None) -> float | None:
    try:
        return None if value is None else _finite(float(value))
    except ValueError:
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
