"""A validation or a comparison as a W&B run: the tables and pictures of its page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spritelora.commands.train.record import flatten, public_settings
from spritelora.config.invocation import without_folders
from spritelora.drawing.subject import Subject
from spritelora.evaluation.comparison import Row, against, columns
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS
from spritelora.evaluation.validation import (
    Validation,
    against_base,
    best_strength,
    missing,
    shown_strength,
)
from spritelora.evaluation.validation_record import mean_with_interval
from spritelora.files import JsonObject, public_name, without_nan
from spritelora.reports.answers import Answer
from spritelora.reports.validation_page import PageSprites
from spritelora.runs.metrics import LINES, Event, final_metrics, read_events
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.placement import draw_on_canvas, in_middle
from spritelora.training.logs.wandb_keys import ANSWERS, BY_STRENGTH, METRICS_TABLE, PICTURES, STRENGTH, STRIPS, curve
from spritelora.training.logs.wandb_run import PlannedRun, send, wandb_run

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "spritelora"
PRIVATE = ("run", "lora", "hardware", "data.note")
VERDICT_COLUMNS = ("first", "second", "metric", "verdict", "mean of first", "mean of second", "low", "high", "pairs")
METRIC_COLUMNS = ("metric", "verdict", "base", "LoRA", "difference", "low", "high", "pairs")
PICTURE_COLUMNS = ("prompt", "in training", "base", "LoRA", "snapped", "nearest training sprite", "distance", "copy")


def log_validation(
    project: str | None,
    output: Path,
    subject: Subject,
    validation: Validation,
    told: Mapping[str, Any],
    sprites: PageSprites,
    answers: Sequence[Answer],
) -> None:
    """Log a validation. `project`: None for the one that the validated run was logged to."""
    record = subject.source.record
    place, entity = settle_project(project, record.settings.logger if record else {})
    trained = public_settings(record) if record else {}
    drawn = {f"drawn.{key}": value for key, value in public(told).items()}
    planned = PlannedRun(
        folder=output,
        project=place,
        entity=entity,
        name=f"validate {record.name if record else subject.title}"[:128],
        job_type="validate",
        settings={**trained, **drawn, "lora": subject.title, "run_id": record and record.id},
        group=record.sweep if record else None,
    )
    with wandb_run(planned) as run:
        send(lambda: _tell_validation(run, validation, sprites, answers))
        send(lambda: run.summary.update(without_nan(final_metrics(_training_events(subject.source.run_dir)))))


def log_comparison(
    project: str | None, output: Path, rows: Sequence[Row], sort: str, images: Mapping[str, Mapping[str, Pixels]]
) -> None:
    """Log a comparison. `images`: of each prompt and row."""
    place, entity = settle_project(project, {})
    names = [public_name(row.name) for row in rows]
    planned = PlannedRun(
        folder=output,
        project=place,
        entity=entity,
        name=f"compare {' | '.join(names)}"[:128],
        job_type="compare",
        settings={"rows": names, "sort": sort},
    )
    with wandb_run(planned) as run:
        send(lambda: _tell_comparison(run, rows, images))


def _training_events(run_dir: Path | None) -> list[Event]:
    """The events that the validated run has logged, none where it was no run."""
    return read_events(run_dir / LINES) if run_dir else []


def settle_project(asked: str | None, logged: Mapping[str, Any]) -> tuple[str, str | None]:
    """Project and entity: as asked (`project` or `entity/project`), else those of the validated run's logger."""
    if asked is None:
        return logged.get("project", PROJECT), logged.get("entity")
    entity, _, project = asked.rpartition("/")
    return project, entity or None


def public(told: Mapping[str, Any]) -> JsonObject:
    """The settings of the drawing, flat, without this machine's folders (but their last names) and hardware."""
    flat = {key: value for key, value in flatten(told) if key not in PRIVATE}
    return {k: public_name(v) if isinstance(v, str) else v for k, v in flat.items()}


def metric_rows(validation: Validation) -> Iterator[list[Any]]:
    """The page's table of metrics at the shown strength."""
    strength = shown_strength(validation)
    drawn, found = validation.by_strength[strength], against_base(validation, strength)
    absent = missing(validation, strength)
    shown = {name: metric for name, metric in METRICS.items() if name not in absent}
    for name, metric in {COLOUR_DISTANCE.name: COLOUR_DISTANCE, **shown}.items():
        if comparison := found.get(name):
            numbers = [comparison.first, comparison.second, comparison.difference, comparison.low, comparison.high]
            yield without_nan([metric.title, comparison.outcome.value, *numbers, comparison.num_pairs])
        elif name in drawn.values:
            mean, low, high = mean_with_interval(drawn.values[name])
            yield without_nan([metric.title, "not compared", None, mean, None, low, high, 0])


def strength_points(validation: Validation) -> Iterator[dict[str, float]]:
    """The page's curves: of each strength, every metric's mean and the ends of its interval."""
    base = [(0.0, validation.base)] if validation.base is not None else []
    for strength, drawn in [*base, *sorted(validation.by_strength.items())]:
        colours = validation.target.distance_of(drawn.profiles)
        point = {STRENGTH: strength, **({curve(COLOUR_DISTANCE.name, "mean"): colours} if colours == colours else {})}
        for name, values in drawn.values.items():
            ends = zip(("mean", "low", "high"), mean_with_interval(values), strict=True)
            point |= {curve(name, end): value for end, value in ends if value == value}
        yield point


def _tell_validation(run: "Run", validation: Validation, sprites: PageSprites, answers: Sequence[Answer]) -> None:
    import wandb

    run.define_metric(STRENGTH, hidden=True)
    run.define_metric(f"{BY_STRENGTH}*", step_metric=STRENGTH)
    for point in strength_points(validation):
        run.log(point)
    questions = [list(answer.record.values()) for answer in answers]
    pictures = list(_pictures(validation, sprites))
    strips = [wandb.Image(np.hstack([i for i in row[2:6] if i is not None]), caption=row[0]) for row in pictures]
    shown = [[wandb.Image(c) if isinstance(c, np.ndarray) else c for c in row] for row in pictures]
    run.log(
        {
            ANSWERS: wandb.Table(list(answers[0].record), questions),
            METRICS_TABLE: wandb.Table(list(METRIC_COLUMNS), list(metric_rows(validation))),
            PICTURES: wandb.Table(list(PICTURE_COLUMNS), shown),
            STRIPS: strips,
        }
    )
    drawn = validation.by_strength[shown_strength(validation)]
    means = {name: mean_with_interval(values)[0] for name, values in drawn.values.items()}
    of_set = {
        "palette_coverage": drawn.coverage,
        COLOUR_DISTANCE.name: validation.target.distance_of(drawn.profiles),
    }
    summary = {"best_strength": best_strength(validation), **means, **of_set}
    run.summary.update(without_nan(summary))


def _pictures(validation: Validation, sprites: PageSprites) -> Iterator[list[Any]]:
    """Of each prompt: base, LoRA, snapped and nearest training sprite, all as large as the image."""
    drawn = validation.by_strength[shown_strength(validation)]
    for number, (prompt, image) in enumerate(zip(validation.prompts, drawn.images, strict=True)):
        measured, side = drawn.measured[number], image.shape[0]
        base = validation.base.images[number] if validation.base is not None else None
        match = measured.match
        nearest = None if match is None else _enlarged(sprites.natives[match.sprite], side)
        found = [None, None] if match is None else [match.distance, match.memorised]
        seen = bool(validation.is_seen[number])
        yield [prompt, seen, base, image, _enlarged(measured.native, side), nearest, *found]


def _enlarged(native: Pixels, side: int) -> Pixels:
    """A native sprite on a square of `side`, by the largest whole factor, in its middle on white."""
    height, width = native.shape[:2]
    fit = in_middle((width, height), max(1, side // max(height, width)), side)
    return draw_on_canvas(native[..., :3], fit, (255, 255, 255))


def _tell_comparison(run: "Run", rows: Sequence[Row], images: Mapping[str, Mapping[str, Pixels]]) -> None:
    import wandb

    shown = columns(rows)
    cells = [[_public_cell(name, row.cells.get(name)) for name in shown] for row in rows]
    tables = {
        "runs": wandb.Table([*shown], cells),
        "verdicts": wandb.Table(list(VERDICT_COLUMNS), list(_verdicts(rows))),
    }
    names = [row.name for row in rows]
    pictures = [
        [prompt, *(wandb.Image(of_row[name]) if name in of_row else None for name in names)]
        for prompt, of_row in images.items()
    ]
    run.log({**tables, PICTURES: wandb.Table(["prompt", *map(public_name, names)], pictures)})


def _verdicts(rows: Sequence[Row]) -> Iterator[list[Any]]:
    """Every row with the same images against the first that has any."""
    first = next((row for row in rows if row.values), None)
    for row in rows:
        for found in against(first, row).values() if first is not None and row is not first else ():
            numbers = [found.first, found.second, found.low, found.high, found.num_pairs]
            names = [public_name(first.name), public_name(row.name)] if first else []
            yield without_nan([*names, found.metric.title, found.outcome.value, *numbers])


def _public_cell(column: str, cell: Any) -> Any:
    """A cell without folders; messages of errors name some."""
    if not isinstance(cell, str):
        return cell
    return re.sub(r"\s+", " ", without_folders(cell)) if column == "problem" else public_name(cell)
