"""Runs as rows of one table: columns, order, CSV, and whether one beats another on the same images."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spritelora.evaluation.colour_distance import ColourTarget, Profiles, compare_colours
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS, Direction
from spritelora.evaluation.statistics import Comparison, Outcome, Values, compare_all

Cell = str | float | int | None

TITLES = {
    "name": "name", "differs": "what differs", "status": "status", "base": "base", "rank": "rank",
    "alpha_over_rank": "alpha/rank", "lr": "lr",
    "step": "step", "max_steps": "of steps", "optimizer": "optimizer", "weighting": "weighting",
    "batch_size": "batch",
    "validation_loss": "validation loss", "strength": "best strength", COLOUR_DISTANCE.name: COLOUR_DISTANCE.title,
    "usable": "usable", "copies_of_new_prompts": "copies, new prompts", "step_time_s": "s/step", "time_s": "time, s",
    "first_step_s": "start, s", "peak_gb": "peak, GB", "file_mb": "file, MB", "path": "path", "problem": "problem",
}  # fmt: skip
LARGEST_FIRST = ("usable",)


@dataclass(frozen=True)
class Row:
    """A run or a LoRA file. `cells`: what is known of it, by column.

    `losses`: steps and validation losses, by band, `""` being all together. `values`: of every metric and image at
    the best strength. `drawn_as`: what must be equal for images of two rows to be pairs, None without a validation.
    `colours`: of the same images, with those of the training set.
    """

    cells: Mapping[str, Cell]
    losses: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict)
    drawn_as: str | None = None
    colours: tuple[Profiles, ColourTarget] | None = None

    @property
    def name(self) -> str:
        return str(self.cells["name"])


def columns(rows: Sequence[Row]) -> list[str]:
    """The columns that some row has something for: its own, the settings, the losses by band, the metrics, the costs.

    A row's own columns are those that no other table knows.
    """
    present = {name for row in rows for name, cell in row.cells.items() if cell is not None}
    bands = sorted((n for n in present if n.startswith("validation_loss_")), key=lambda n: int(n.split("_")[2]))
    order = list(TITLES)
    at = order.index("validation_loss") + 1
    after = order.index("step_time_s")
    ordered = [*order[:at], *bands, *order[at:after], *METRICS, *order[after:]]
    own = dict.fromkeys(name for row in rows for name in row.cells if name not in ordered)
    return [name for name in (ordered[0], *own, *ordered[1:]) if name in present]


def title_of(column: str) -> str:
    """A column's head."""
    if column.startswith("validation_loss_"):
        return f"loss, t {column.removeprefix('validation_loss_').replace('_', ' to ')}"
    return METRICS[column].title if column in METRICS else TITLES.get(column, column)


def is_largest_first(column: str) -> bool:
    """Whether the best of a column is its largest."""
    return column in LARGEST_FIRST or (column in METRICS and METRICS[column].direction is Direction.HIGHER)


def sort_rows(rows: Sequence[Row], column: str, descending: bool | None) -> list[Row]:
    """The rows by a column, those that have nothing there last, in the order they came in."""
    known = [row for row in rows if row.cells.get(column) is not None]
    unknown = [row for row in rows if row.cells.get(column) is None]
    largest_first = is_largest_first(column) if descending is None else descending
    return [*sorted(known, key=lambda row: _sort_key(row.cells[column]), reverse=largest_first), *unknown]


def _sort_key(cell: Cell) -> tuple[int, float, str]:
    """Numbers before words."""
    if isinstance(cell, str) or cell is None:
        return (1, 0.0, str(cell))
    return (0, float(cell), "")


def to_csv(rows: Sequence[Row]) -> str:
    """The table, one line a row, nothing where nothing is known."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    shown = columns(rows)
    writer.writerow(shown)
    writer.writerows([["" if row.cells.get(name) is None else row.cells[name] for name in shown] for row in rows])
    return stream.getvalue()


def format_cell(column: str, cell: Cell) -> str:
    """A cell as the page shows it."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if metric := {**METRICS, COLOUR_DISTANCE.name: COLOUR_DISTANCE}.get(column):
        return metric.format(float(cell))
    if column in ("usable", "copies_of_new_prompts"):
        return f"{cell:.0%}"
    if column.startswith("validation_loss"):
        return f"{cell:.4f}"
    return f"{cell:.3g}" if isinstance(cell, float) and not cell.is_integer() else f"{cell:.0f}"


def against(first: Row, second: Row) -> dict[str, Comparison]:
    """Every metric of the second against the first's on the same prompts and noise; empty where they differ.

    Without the colour distance where they were trained on other sprites.
    """
    if first.drawn_as is None or first.drawn_as != second.drawn_as:
        return {}
    found = compare_all(first.values, second.values)
    if first.colours is None or second.colours is None:
        return found
    (ours, target), (theirs, other) = first.colours, second.colours
    if not np.array_equal(target.profiles, other.profiles):
        return found
    return {COLOUR_DISTANCE.name: compare_colours(ours, theirs, target), **found}


def best_of(rows: Sequence[Row]) -> tuple[Row, list[Row]] | None:
    """The row whose colours are nearest to the training sprites', and those that are not shown to be further away.

    Of rows that drew the same prompts from the same noise; None where there are fewer than two.
    """
    drawn = [row for row in rows if row.colours is not None and row.drawn_as is not None]
    alike = [row for row in drawn if row.drawn_as == drawn[0].drawn_as]
    if len(alike) < 2:
        return None
    best = min(alike, key=_colour_distance)
    found = {row.name: against(best, row).get(COLOUR_DISTANCE.name) for row in alike if row is not best}
    if any(comparison is None for comparison in found.values()):  # trained on other sprites
        return None
    tied = [row for row in alike if row is not best and not _is_worse(found[row.name])]
    return best, tied


def _colour_distance(row: Row) -> float:
    value = row.cells.get(COLOUR_DISTANCE.name)
    return float(value) if isinstance(value, int | float) else math.inf


def _is_worse(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.outcome is Outcome.WORSE


def as_values(numbers: Sequence[float | None]) -> Values:
    """Numbers of a JSON file, None being NaN."""
    return np.array([math.nan if number is None else number for number in numbers], np.float64)
