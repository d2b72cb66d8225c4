"""The page of a comparison: the table, who beats the first on the same images, losses, and images side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spritelora.evaluation.comparison import Row, against, columns, format_cell, title_of
from spritelora.evaluation.registry import Direction
from spritelora.evaluation.statistics import LEAST_PAIRS, Comparison, Outcome
from spritelora.evaluation.unmeasured import with_pairs
from spritelora.reports.charts import Line, legend, line_chart
from spritelora.reports.page import document, table, text, tile
from spritelora.sprites.pixels.image import Pixels

TILE_PX = 128
MARKS = {Outcome.BETTER: "good", Outcome.WORSE: "bad"}

SORTING = """
for (const head of document.querySelectorAll('#runs th')) {
  const button = document.createElement('button');
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener('click', () => {
    const body = head.closest('table').tBodies[0], at = head.cellIndex;
    const up = head.getAttribute('aria-sort') !== 'ascending';
    for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const value = row => row.cells[at].textContent.trim();
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === '-' || y === '-') return (x === '-') - (y === '-');
      const p = parseFloat(x), q = parseFloat(y);
      const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
      return up ? order : -order;
    });
    body.append(...rows);
  });
}
"""


@dataclass(frozen=True)
class Look:
    """What a page is called and shows. `pictures`: head of the images; `labels`: of rows, where not their names."""

    title: str = "Comparison"
    pictures: str = "The same prompt and noise"
    tile_px: int = TILE_PX
    labels: Mapping[str, str] = field(default_factory=dict)


USUAL_LOOK = Look()


def make_page(
    rows: Sequence[Row],
    sort: str,
    notes: Sequence[str],
    images: Mapping[str, Mapping[str, Pixels]],
    look: Look = USUAL_LOOK,
) -> str:
    """The page as text. `rows`: in order. `images`: for prompts, an image of each row that has one, by name."""
    subtitle = f"{len(rows)} rows by {title_of(sort)}; a click on a head sorts by it"
    return document(look.title, subtitle, _body(rows, notes, images, look), SORTING)


def _body(
    rows: Sequence[Row], notes: Sequence[str], images: Mapping[str, Mapping[str, Pixels]], look: Look
) -> Iterator[str]:
    if notes:
        yield "<ul class=findings>" + "".join(f"<li class=warning>{text(note)}</li>" for note in notes) + "</ul>\n"
    shown = [name for name in columns(rows) if name != "problem"]
    cells = (("", [_cell(name, row) for name in shown]) for row in rows)
    yield "<div id=runs>" + table([text(title_of(n)) for n in shown], cells, numbers_from=len(shown)) + "</div>\n"
    yield from _verdicts(rows)
    yield from _losses(rows, look)
    if images:
        yield f"<h2>{text(look.pictures)}</h2>\n<div class=rows>"
        for prompt, by_name in images.items():
            tiles = "".join(
                tile(image, look.tile_px, text(look.labels.get(name, name)), name) for name, image in by_name.items()
            )
            head = f"<h3>{text(prompt)}</h3>" if prompt else ""
            yield f"<div class=row>{head}<div class=tiles>{tiles}</div></div>\n"
        yield "</div>\n"


def _cell(column: str, row: Row) -> str:
    shown = text(format_cell(column, row.cells.get(column)))
    if column == "status" and row.cells.get("problem"):
        return f"<b class=bad>{shown}</b><div class='soft why'>{text(row.cells['problem'])}</div>"
    return shown


def _verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """Every row with the same images against the first that has any."""
    first = next((row for row in rows if row.drawn_as is not None), None)
    found = {row.name: against(first, row) for row in rows if first and row is not first} if first else {}
    found = {name: comparisons for name, comparisons in found.items() if comparisons}
    if not found or first is None:
        return
    yield f"<h2>Against {text(first.name)}, image by image</h2>\n"
    yield "<p class=soft>Difference of the means with its 95 % interval, each at its own best strength.</p>\n"
    names = {c.metric.name for comparisons in found.values() for c in with_pairs(comparisons.values())}
    judged = (c.metric for c in next(iter(found.values())).values() if c.metric.name in names)
    metrics = [metric for metric in judged if metric.direction is not Direction.NEITHER]
    lines = (
        ("", [text(metric.title), *(_verdict(comparisons.get(metric.name)) for comparisons in found.values())])
        for metric in metrics
    )
    yield table(["metric", *map(text, found)], lines, numbers_from=len(found) + 1)


def _verdict(found: Comparison | None) -> str:
    if found is None or found.num_pairs < LEAST_PAIRS:
        return "too few pairs"
    difference, low, high = (f"{v:+.{found.metric.digits}f}" for v in (found.difference, found.low, found.high))
    mark = MARKS.get(found.outcome, "unknown")
    return f"<b class={mark}>{text(found.outcome.value)}</b> {difference} ({low} to {high})"


def _losses(rows: Sequence[Row], look: Look) -> Iterator[str]:
    rows = [row for row in rows if row.losses]
    bands = list(dict.fromkeys(band for row in rows for band in row.losses))
    if not bands:
        return
    yield (
        "<h2>Validation loss</h2>\n"
        + legend([look.labels.get(row.name, row.name) for row in rows])
        + "<div class=charts>"
    )
    for band in bands:
        points = [row.losses.get(band, ()) for row in rows]
        lines = [Line([x for x, _ in p], [y for _, y in p], name=r.name) for p, r in zip(points, rows, strict=True)]
        head = f"timesteps {band.replace('_', ' to ')}" if band else "all timesteps"
        yield f"<figure><strong>{text(head)}</strong>{line_chart(lines, x_name='step')}</figure>"
    yield "</div>\n"
