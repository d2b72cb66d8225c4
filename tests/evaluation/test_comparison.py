"""The table of a comparison: its order, its columns, and verdicts between rows."""

import csv
import io

import numpy as np
import pytest

from spritelora.evaluation.colour_distance import ColourTarget
from spritelora.evaluation.comparison import Row, against, columns, format_cell, sort_rows, title_of, to_csv
from spritelora.evaluation.registry import METRICS
from spritelora.evaluation.statistics import Outcome
from tests.evaluation.test_colour_distance import SAME_SHARES

pytestmark = pytest.mark.numeric

ROWS = [
    Row({"name": "b", "rank": 16, "validation_loss": 0.2, "palette_coverage": 0.3}),
    Row({"name": "failed", "status": "failed", "problem": 'said "no", twice'}),
    Row({"name": "a", "rank": 8, "validation_loss": 0.1, "validation_loss_500_1000": 0.1, "palette_coverage": 0.5}),
    Row({"name": "c", "rank": "4 to 8", "validation_loss_0_500": 0.4}),
]


def names(rows: list[Row]) -> list[str]:
    return [row.name for row in rows]


def test_the_best_comes_first_and_what_has_no_value_last() -> None:
    assert names(sort_rows(ROWS, "validation_loss", None)) == ["a", "b", "failed", "c"]
    assert names(sort_rows(ROWS, "palette_coverage", None)) == ["a", "b", "failed", "c"]
    assert names(sort_rows(ROWS, "validation_loss", True)) == ["b", "a", "failed", "c"]
    assert names(sort_rows(ROWS, "rank", None)) == ["a", "b", "c", "failed"]
    assert names(sort_rows(ROWS, "name", None)) == ["a", "b", "c", "failed"]


def test_columns_are_those_that_someone_fills_with_bands_by_timestep() -> None:
    assert columns(ROWS) == [
        "name", "status", "rank", "validation_loss", "validation_loss_0_500", "validation_loss_500_1000",
        "palette_coverage", "problem",
    ]  # fmt: skip
    assert title_of("validation_loss_0_500") == "loss, t 0 to 500"


def test_the_csv_reads_back() -> None:
    read = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [row["name"] for row in read] == ["b", "failed", "a", "c"]
    assert read[1]["problem"] == 'said "no", twice'
    assert (read[1]["rank"], float(read[2]["validation_loss"])) == ("", 0.1)


@pytest.mark.parametrize(
    ("column", "cell", "shown"),
    [
        ("lr", 0.0004, "0.0004"),
        ("rank", 8, "8"),
        ("rank", "4 to 8", "4 to 8"),
        ("usable", 0.5, "50%"),
        ("file_mb", None, "-"),
        ("validation_loss_0_250", 0.123456, "0.1235"),
        ("palette_distance", 0.03, METRICS["palette_distance"].format(0.03)),
        ("step", 450.0, "450"),
    ],
)
def test_cells_as_shown(column: str, cell: float | str | None, shown: str) -> None:
    assert format_cell(column, cell) == shown


def test_only_images_of_the_same_prompts_and_noise_are_pairs() -> None:
    rng = np.random.default_rng(0)
    worse = rng.normal(0.1, 0.02, 12)
    first = Row({"name": "a"}, values={"palette_distance": worse}, drawn_as="x")
    second = Row({"name": "b"}, values={"palette_distance": worse - 0.05}, drawn_as="x")
    other = Row({"name": "c"}, values={"palette_distance": worse}, drawn_as="y")
    assert against(first, second)["palette_distance"].outcome is Outcome.BETTER
    assert against(first, first)["palette_distance"].outcome is Outcome.NO_DIFFERENCE
    assert against(first, other) == {}
    assert against(ROWS[0], ROWS[2]) == {}


def test_colours_are_compared_where_the_training_sets_are_the_same() -> None:
    rng = np.random.default_rng(0)
    first, second, goal = (np.sort(rng.random((count, 32, 111)).astype(np.float32), axis=2) for count in (8, 8, 1))
    target, other = ColourTarget(goal), ColourTarget(np.sqrt(goal))
    rows = [Row({"name": "a"}, drawn_as="x", colours=(first, target)), Row({"name": "b"}, drawn_as="x")]
    assert "colour_distance" not in against(*rows)
    alike = Row({}, drawn_as="x", colours=(goal.repeat(8, 0), target))
    assert against(rows[0], alike)["colour_distance"].second <= SAME_SHARES
    assert "colour_distance" not in against(rows[0], Row({}, drawn_as="x", colours=(second, other)))
