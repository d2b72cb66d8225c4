"""The page of a validation: four answers, then what they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spritelora.evaluation.colours import Palette
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS, Metric
from spritelora.evaluation.statistics import LEVEL, Comparison
from spritelora.evaluation.unmeasured import left_out
from spritelora.evaluation.validation import (
    BEST_RULE,
    DrawnSet,
    Validation,
    against_base,
    best_strength,
    missing,
    shown_strength,
)
from spritelora.evaluation.validation_record import mean_with_interval
from spritelora.reports.answers import Answer
from spritelora.reports.charts import Chart, Line, colour_plane, line_chart
from spritelora.reports.page import Table, TableCell, Tile, make_picture, render, shown_size, verdict_cell
from spritelora.shown import counted
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.palette import count_colours

PICTURE_PX, NARROW_PX, SMALL_PX = 160, 74, 96
"""Sides near which pictures of a row are shown, on a wide screen and on a phone, where two lie beside one another."""
MOST_COLOURS_SHOWN = 48
ROW_NOTE = (
    "Each row, from the left: the base model, the LoRA, the LoRA's picture with one colour in each pixel, and the most "
    "similar of your sprites."
)
CHARTS = (
    "palette_distance", "snap_residual", "off_grid", "in_between", "halo", "num_colours", "copy_distance", "clip",
)  # fmt: skip

Rows = list[tuple[str, list[Tile]]]
"""Prompts with their pictures."""


@dataclass(frozen=True)
class PageSprites:
    """The training sprites, native, with their captions and the palette of all."""

    natives: Sequence[Pixels]
    captions: Sequence[str]
    palette: Palette


@dataclass(frozen=True)
class ByStrength:
    """The page's part on several strengths: the best one, a chart for each metric, and pictures."""

    best: str
    charts: Sequence[Chart]
    flat: str
    rows: Rows


def make_page(
    title: str, validation: Validation, told: Mapping[str, Any], sprites: PageSprites, answers: Sequence[Answer]
) -> str:
    """The page as text. `told`: how the images were drawn."""
    strength = shown_strength(validation)
    drawn = validation.by_strength[strength]
    versus = "against its base" if validation.base is not None else "alone"
    absent = missing(validation, strength)
    return render(
        "validation.html",
        title=f"Validation of {title}",
        subtitle=f"{_num_images(validation)}, {versus}; shown at strength {strength:g}",
        answers=answers,
        row_note=ROW_NOTE if validation.base is not None else ROW_NOTE.replace("the base model, ", ""),
        notes={"data": told.get("data", {}).get("note"), "base": told.get("base_note")},
        prompts={
            "Prompts it was trained on": _rows(validation, strength, True, sprites),
            "New prompts": _rows(validation, strength, False, sprites),
        },
        natives=[make_picture(m.native, max(m.native.shape[:2])) for m in drawn.measured],
        level=f"{LEVEL:.0%}",
        strengths=_by_strength(validation),
        strength=f"{strength:g}",
        metrics=_metrics(validation, strength),
        left_out=left_out(absent) if absent else "",
        every_strength=_every_strength(validation, drawn),
        planes=_planes(drawn, sprites.palette),
        told=_told_lines(told),
    )


def _num_images(validation: Validation) -> str:
    number = counted(len(validation.prompts), "image")
    return (
        number if len(validation.by_strength) == 1 else f"{number} at each of {len(validation.by_strength)} strengths"
    )


def _told_lines(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of the settings that the images were drawn with; those that are not set are left out."""
    lines: list[tuple[str, str]] = []
    for name, value in told.items():
        if name == "base_note" or value in (None, "", []):
            continue
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
        text = ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in parts if part is not None)
        lines.append(({"weights": "lora strengths"}.get(name, name.replace("_", " ")), text))
    return lines


def _rows(validation: Validation, strength: float, is_seen: bool, sprites: PageSprites) -> Rows:
    numbers = np.flatnonzero(validation.is_seen == is_seen).tolist()
    return [(validation.prompts[i], _tiles(validation, strength, i, sprites)) for i in numbers]


def _tiles(validation: Validation, strength: float, number: int, sprites: PageSprites) -> list[Tile]:
    """Base, LoRA, the LoRA's picture as a sprite, and the nearest training sprite."""
    drawn = validation.by_strength[strength]
    measured = drawn.measured[number]
    side, narrow = (_shown_px(drawn.images[number].shape[1], px) for px in (PICTURE_PX, NARROW_PX))
    colours = METRICS["num_colours"].format(measured.values["num_colours"]).removesuffix(".0")

    def tile(pixels: Pixels, caption: str, label: str, warning: str = "") -> Tile:
        return Tile(make_picture(pixels, side, label), caption, shown_size(pixels, narrow)[0], warning=warning)

    tiles = [tile(drawn.images[number], f"LoRA at {strength:g}", "LoRA")]
    tiles.append(tile(measured.native, f"as a sprite, {colours} colours", "as a sprite"))
    if validation.base is not None:
        tiles.insert(0, tile(validation.base.images[number], "base", "base"))
    if (nearest := measured.match) is not None:
        caption = f"most similar of your sprites, {nearest.distance:.2f} away"
        warning = "passes for a copy" if nearest.memorised else ""
        tiles.append(tile(sprites.natives[nearest.sprite], caption, sprites.captions[nearest.sprite], warning))
    return tiles


def _shown_px(side_px: int, wanted_px: int) -> int:
    """The width at which an image of this side is shown: a whole multiple or a whole part of it, near `wanted_px`."""
    if side_px <= wanted_px:
        return side_px * (wanted_px // side_px)
    least = -(-side_px // (2 * wanted_px - 1))
    return side_px // next(part for part in range(least, side_px + 1) if side_px % part == 0)


def _by_strength(validation: Validation) -> ByStrength | None:
    if len(validation.by_strength) < 2:
        return None
    best = best_strength(validation)
    measured = [name for name in CHARTS if name in next(iter(validation.by_strength.values())).values]
    flat = [name for name in measured if _is_zero(validation, name)]
    return ByStrength(
        best=f"Best: {best:g}. {BEST_RULE.capitalize()}."
        if best is not None
        else "None is best: the LoRA changes nothing.",
        charts=[
            _colour_curve(validation, best),
            *(_curve(validation, name, best) for name in measured if name not in flat),
        ],
        flat=f"0 at every strength: {', '.join(METRICS[name].title for name in flat)}." if flat else "",
        rows=[(validation.prompts[i], _at_each_strength(validation, i, best)) for i in _examples(validation)],
    )


def _is_zero(validation: Validation, name: str) -> bool:
    """True for a metric that is 0 in every image of base and LoRA, to the digits that are shown."""
    sets = [*validation.by_strength.values(), *([validation.base] if validation.base else [])]
    values = np.concatenate([drawn.values[name] for drawn in sets])
    known = values[np.isfinite(values)]
    return known.size > 0 and not np.round(known, METRICS[name].digits).any()


def _at_each_strength(validation: Validation, number: int, best: float | None) -> list[Tile]:
    return [
        Tile(make_picture(drawn.measured[number].native, SMALL_PX), label, is_best=strength == best)
        for strength, label, drawn in _columns(validation)
    ]


def _columns(validation: Validation) -> list[tuple[float, str, DrawnSet]]:
    base = [] if validation.base is None else [(0.0, "base", validation.base)]
    return [*base, *((s, f"{s:g}", drawn) for s, drawn in validation.by_strength.items())]


def _examples(validation: Validation) -> list[int]:
    """A few images of either kind of prompt."""
    return [int(i) for seen in (True, False) for i in np.flatnonzero(validation.is_seen == seen)[:3]]


def _curve(validation: Validation, name: str, best: float | None) -> Chart:
    means = {s: mean_with_interval(drawn.values[name]) for s, drawn in validation.by_strength.items()}
    line = Line(list(means), [m[0] for m in means.values()], [(m[1], m[2]) for m in means.values()])
    level = mean_with_interval(validation.base.values[name])[0] if validation.base else None
    return _chart(METRICS[name], line, level, best)


def _colour_curve(validation: Validation, best: float | None) -> Chart:
    target, base = validation.target, validation.base
    distances = {s: target.distance_of(drawn.profiles) for s, drawn in validation.by_strength.items()}
    nan = float("nan")
    line = Line(list(distances), list(distances.values()), [(nan, nan)] * len(distances))
    return _chart(COLOUR_DISTANCE, line, target.distance_of(base.profiles) if base else None, best)


def _chart(metric: Metric, line: Line, level: float | None, best: float | None) -> Chart:
    unit = f", {metric.unit}" if metric.unit else ""
    svg = line_chart([line], level, best, "strength", metric.digits, from_zero=True)
    return Chart(metric.title, svg, f"{metric.direction.value}{unit}")


def _metrics(validation: Validation, strength: float) -> Table:
    drawn = validation.by_strength[strength]
    comparisons, absent = against_base(validation, strength), missing(validation, strength)
    values = {COLOUR_DISTANCE: validation.target.distance_of(drawn.profiles)} | {
        METRICS[name]: mean_with_interval(drawn.values[name])[0]
        for name in METRICS
        if name in drawn.values and name not in absent
    }
    cells = [_metric_cells(metric, value, comparisons.get(metric.name)) for metric, value in values.items()]
    return Table(["metric", "verdict", "base", "LoRA", f"difference, {LEVEL:.0%}", "pairs"], cells, numbers_from=2)


def _metric_cells(metric: Metric, value: float, found: Comparison | None) -> list[TableCell]:
    title = TableCell(metric.title, note=metric.meaning)
    if found is None or not found.num_pairs:
        return [title, *map(TableCell, ("", "-", metric.format(value), "-", "0"))]
    ends = "-"
    if found.low == found.low:
        ends = f"{found.low:+.{metric.digits}f} to {found.high:+.{metric.digits}f}"
    numbers = (metric.format(found.first), metric.format(found.second), ends, str(found.num_pairs))
    return [title, verdict_cell(found.outcome), *map(TableCell, numbers)]


def _every_strength(validation: Validation, drawn: DrawnSet) -> Table:
    columns = _columns(validation)
    cells = [
        [metric.title, *(metric.format(mean_with_interval(d.values[name])[0]) for _, _, d in columns)]
        for name, metric in METRICS.items()
        if name in drawn.values
    ]
    return Table(["metric", *(label for _, label, _ in columns)], [[*map(TableCell, row)] for row in cells])


def _planes(drawn: DrawnSet, palette: Palette) -> list[Chart]:
    colours, counts = count_colours(np.concatenate([m.native.reshape(-1, 3) for m in drawn.measured]))
    most, known = (np.argsort(-n, kind="stable")[:MOST_COLOURS_SHOWN] for n in (counts, palette.weights))
    return [
        Chart("training set", colour_plane(palette.colours[known], palette.weights[known])),
        Chart("LoRA", colour_plane(colours[most], counts[most] / counts.sum())),
    ]
