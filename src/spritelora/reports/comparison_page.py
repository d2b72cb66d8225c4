"""The page of a comparison: the table, who beats the first on the same images, losses, and images side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spritelora.evaluation.comparison import Row, against, best_of, columns, format_cell, title_of
from spritelora.evaluation.registry import Direction
from spritelora.evaluation.statistics import LEAST_PAIRS, Comparison
from spritelora.evaluation.unmeasured import with_pairs
from spritelora.reports.charts import Chart, Line, legend, line_chart
from spritelora.reports.page import Table, TableCell, Tile, make_picture, render, verdict_cell
from spritelora.sprites.pixels.image import Pixels

TILE_PX = 128


@dataclass(frozen=True)
class Look:
    """The title and contents of a page. `pictures`: head of the images; `labels`: of rows, where not their names."""

    title: str = "Comparison"
    pictures: str = "The same prompt and noise"
    tile_px: int = TILE_PX
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """The name of a row beside its curve and its images."""
        return self.labels.get(name, name)


USUAL_LOOK = Look()


@dataclass(frozen=True)
class Verdict:
    """Which row is best, or that none is shown to be, in a sentence, and what that rests on."""

    sentence: str
    tone: str
    reason: str


def verdict_on(rows: Sequence[Row], sort: str, look: Look = USUAL_LOOK) -> Verdict | None:
    """By the pictures of rows that drew the same ones, else by the column that they are sorted by; None for one row."""
    known = [row for row in rows if row.cells.get(sort) is not None]
    if found := best_of(rows):
        best, tied = found
        name, others = look.label(best.name), ", ".join(look.label(row.name) for row in tied)
        reason = "By the colour distance of the same pictures to the training sprites, with its 95 % interval."
        if tied:
            return Verdict(f"No difference shown between {name} and {others}.", "mixed", reason)
        return Verdict(f"Best: {name}. All others are measurably further from your sprites' colours.", "good", reason)
    if len(known) < 2:
        return None
    reason = "One number of each run cannot show whether the difference is chance: measure=true draws and compares."
    return Verdict(f"First by {title_of(sort)}: {look.label(known[0].name)}.", "unknown", reason)


def make_page(
    rows: Sequence[Row],
    sort: str,
    notes: Sequence[str],
    images: Mapping[str, Mapping[str, Pixels]],
    look: Look = USUAL_LOOK,
) -> str:
    """The page as text. `rows`: in order. `images`: for prompts, an image of each row that has one, by name."""
    first = next((row for row in rows if row.drawn_as is not None), None)
    with_losses = [row for row in rows if row.losses]
    return render(
        "comparison.html",
        title=look.title,
        subtitle=f"{len(rows)} rows by {title_of(sort)}; a click on a head sorts by it",
        verdict=verdict_on(rows, sort, look),
        notes=notes,
        runs=_runs(rows),
        first=first and first.name,
        verdicts=first and _verdicts(first, rows),
        losses=_losses(with_losses),
        legend=legend([look.label(row.name) for row in with_losses]),
        pictures_head=look.pictures,
        pictures=[(prompt, _tiles(by_name, look)) for prompt, by_name in images.items()],
    )


def _runs(rows: Sequence[Row]) -> Table:
    shown = [name for name in columns(rows) if name != "problem"]
    cells = [[_cell(name, row) for name in shown] for row in rows]
    return Table([title_of(name) for name in shown], cells, numbers_from=len(shown))


def _cell(column: str, row: Row) -> TableCell:
    text, problem = format_cell(column, row.cells.get(column)), row.cells.get("problem")
    return TableCell(text, tone="bad", note=str(problem)) if column == "status" and problem else TableCell(text)


def _verdicts(first: Row, rows: Sequence[Row]) -> Table | None:
    """Every row with the same images against the first that has any."""
    found = {row.name: comparisons for row in rows if row is not first and (comparisons := against(first, row))}
    if not found:
        return None
    names = {c.metric.name for comparisons in found.values() for c in with_pairs(comparisons.values())}
    judged = (c.metric for c in next(iter(found.values())).values() if c.metric.name in names)
    metrics = [metric for metric in judged if metric.direction is not Direction.NEITHER]
    cells = [
        [TableCell(metric.title), *(_verdict(comparisons.get(metric.name)) for comparisons in found.values())]
        for metric in metrics
    ]
    return Table(["metric", *found], cells, numbers_from=len(found) + 1)


def _verdict(found: Comparison | None) -> TableCell:
    if found is None or found.num_pairs < LEAST_PAIRS:
        return TableCell("too few pairs")
    difference, low, high = (f"{v:+.{found.metric.digits}f}" for v in (found.difference, found.low, found.high))
    return verdict_cell(found.outcome, f"{difference} ({low} to {high})")


def _losses(rows: Sequence[Row]) -> list[Chart]:
    """A chart for each band of timesteps, with a line for each row."""
    charts: list[Chart] = []
    for band in dict.fromkeys(band for row in rows for band in row.losses):
        points = [row.losses.get(band, ()) for row in rows]
        lines = [Line([x for x, _ in p], [y for _, y in p]) for p in points]
        title = f"timesteps {band.replace('_', ' to ')}" if band else "all timesteps"
        charts.append(Chart(title, line_chart(lines, x_name="step")))
    return charts


def _tiles(images: Mapping[str, Pixels], look: Look) -> list[Tile]:
    return [Tile(make_picture(image, look.tile_px, name), look.label(name)) for name, image in images.items()]
