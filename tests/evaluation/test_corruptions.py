"""Each fault of pixel art moves the metrics that are about it and leaves the others: the table of docs/metrics.md.

`python -m tests.evaluation.test_corruptions` prints that table from new measurements.
"""

import re
import sys
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from spritelora.evaluation.colours import palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Reference, measure_images
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.evaluation.registry import METRICS, Direction
from spritelora.evaluation.statistics import Comparison, Outcome, compare_all
from tests.evaluation.corruptions import CELL_PX, CORRUPTIONS, draw_native, enlarge

pytestmark = pytest.mark.numeric

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

NUM_SPRITES = 32
ROWS = [name for name in METRICS if name not in ("pitch_px", "seam", "clip")]

SLIGHT, FLAT = 0.15, 0.02
"""Shares of a metric's largest change: up to FLAT it counts as flat, up to SLIGHT as a side effect."""


@cache
def comparisons() -> dict[str, dict[str, Comparison]]:
    """Clean sprites against the same with each fault: by fault and metric."""
    sprites = draw_native(NUM_SPRITES, seed=0)
    reference, grid = Reference(palette_of(sprites), SpriteIndex(sprites)), Grid(CELL_PX)
    clean = measure_images([enlarge(sprite) for sprite in sprites], reference, grid)
    return {
        fault: compare_all(clean, measure_images([corrupt(sprite) for sprite in sprites], reference, grid))
        for fault, corrupt in CORRUPTIONS.items()
    }


def harm(metric: str, fault: str) -> float:
    """How much a fault changes a metric, above 0 for the worse; a copy gets away from its sprite upwards."""
    change = comparisons()[fault][metric].difference
    return -change if METRICS[metric].direction is Direction.HIGHER else change


def largest_harm(metric: str) -> float:
    """Of all faults."""
    return max(harm(metric, fault) for fault in CORRUPTIONS)


def documented() -> dict[tuple[str, str], str]:
    """The cells of the page's table by metric and fault."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| metric | {next(iter(CORRUPTIONS))}"))
    header, _, *rows = [split_row(line) for line in takewhile(lambda line: line.startswith("|"), lines[start:])]
    return {(row[0], fault): cell for row in rows for fault, cell in zip(header[1:], row[1:], strict=True)}


def split_row(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip(" `") for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("fault", CORRUPTIONS)
@pytest.mark.parametrize("metric", ROWS)
def test_what_rises_and_what_stays_flat_is_as_the_page_says(metric: str, fault: str) -> None:
    cell = documented()[metric, fault]
    outcome = comparisons()[fault][metric].outcome
    share = harm(metric, fault) / largest_harm(metric)
    if cell == "flat":
        assert abs(share) <= FLAT or outcome is Outcome.NO_DIFFERENCE
    elif slight := re.fullmatch(r"\((.*)\)", cell):
        assert share <= SLIGHT
        assert float(slight[1]) == pytest.approx(harm(metric, fault), rel=0.3, abs=2 * 10 ** -METRICS[metric].digits)
    else:
        assert outcome in (Outcome.WORSE, Outcome.HIGHER)
        assert share > SLIGHT
        assert float(cell.strip("*")) == pytest.approx(harm(metric, fault), rel=0.1)


def test_the_page_defines_every_metric_of_the_registry() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    defined = {cells[0]: cells for cells in map(split_row, lines) if len(cells) == 5}
    for name, metric in METRICS.items():
        _, unit, better, span, definition = defined[name]
        assert (unit, better) == (metric.unit, str(metric.direction).split()[0])
        high = "" if metric.high is None else f"{metric.high:g}"
        assert span == f"{metric.low:g} to {high}".strip()
        assert len(definition) > 40


def test_every_metric_has_a_fault_that_it_finds() -> None:
    assert all(largest_harm(metric) > 10 ** -METRICS[metric].digits for metric in ROWS)


def test_faults_of_colour_leave_the_grid_alone_to_the_last_digit() -> None:
    for fault in ("hue noise", "added colours", "lost colours"):
        for metric in ("pitch_error_px", "drift_px", "off_grid", "cell_spread", "snap_residual", "in_between", "halo"):
            assert abs(harm(metric, fault)) < 1e-6, (fault, metric)


def changes_table() -> str:
    """The page's table: bold what a fault raises, in brackets what it moves little, or for the better."""

    def cell(metric: str, fault: str) -> str:
        found, share = comparisons()[fault][metric], harm(metric, fault) / largest_harm(metric)
        number = f"{harm(metric, fault):.{METRICS[metric].digits}f}"
        if abs(share) <= FLAT or found.outcome is Outcome.NO_DIFFERENCE:
            return "flat"
        return f"**{number}**" if share > SLIGHT else f"({number})"

    lines = [["metric", *CORRUPTIONS], ["---"] * (1 + len(CORRUPTIONS))]
    lines += [[f"`{metric}`", *(cell(metric, fault) for fault in CORRUPTIONS)] for metric in ROWS]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(changes_table() + "\n")
