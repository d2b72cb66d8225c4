"""The page of a validation: four answers, then what they rest on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spritelora.evaluation.colours import Palette
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS, Metric
from spritelora.evaluation.statistics import LEVEL, Comparison, Outcome
from spritelora.evaluation.unmeasured import left_out
from spritelora.evaluation.validation import (
    BEST_RULE,
    DrawnSet,
    Validation,
    against_base,
    answer_questions,
    best_strength,
    missing,
    shown_strength,
)
from spritelora.evaluation.validation_record import mean_with_interval
from spritelora.reports.charts import Line, colour_plane, line_chart
from spritelora.reports.page import document, facts, picture, table, text, tile
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.palette import count_colours

PICTURE_PX, NARROW_PX, SMALL_PX = 160, 74, 96
"""Sides near which pictures of a row are shown, on a wide screen and on a phone, where two lie beside one another."""
MOST_COLOURS_SHOWN = 48
CHARTS = (
    "palette_distance", "snap_residual", "off_grid", "in_between", "halo", "num_colours", "copy_distance", "clip",
)  # fmt: skip
TONES = {Outcome.BETTER: "good", Outcome.WORSE: "bad"}


@dataclass(frozen=True)
class PageSprites:
    """The training sprites, native, with their captions and the palette of all."""

    natives: Sequence[Pixels]
    captions: Sequence[str]
    palette: Palette


def make_page(title: str, validation: Validation, told: Mapping[str, Any], sprites: PageSprites) -> str:
    """The page as text. `told`: how the images were drawn."""
    strength = shown_strength(validation)
    versus = "against its base" if validation.base is not None else "alone"
    subtitle = (
        f"{len(validation.prompts)} images at each of {len(validation.by_strength)} strengths, {versus}; "
        f"shown at strength {strength:g}"
    )
    return document(f"Validation of {title}", subtitle, _body(validation, told, sprites, strength))


def _body(validation: Validation, told: Mapping[str, Any], sprites: PageSprites, strength: float) -> Iterator[str]:
    answers = (
        f"<section class={a.tone.value}><h3>{text(a.question)}</h3><strong>{text(a.answer.capitalize())}</strong>"
        f"<p>{text(a.numbers)}</p></section>"
        for a in answer_questions(validation)
    )
    yield f"<div class=answers>{''.join(answers)}</div>\n"
    if note := told.get("data", {}).get("note"):
        yield f"<ul class=findings><li class=warning><b>data</b> {text(note)}</li></ul>\n"
    for seen, head in ((True, "Prompts it was trained on"), (False, "New prompts")):
        if (chosen := np.flatnonzero(validation.is_seen == seen)).size:
            yield f"<h2>{head}</h2>\n<div class=rows>"
            yield from (_row(validation, strength, int(i), sprites) for i in chosen)
            yield "</div>\n"
    yield "<h2>At native size</h2>\n<p class=soft>Snapped to the grid, one pixel each.</p><div class=sheet>"
    yield from (picture(m.native, max(m.native.shape[:2])) for m in validation.by_strength[strength].measured)
    yield "</div>\n"
    yield from _strengths(validation)
    yield from _metrics(validation, strength)
    yield from _palette(validation.by_strength[strength], sprites.palette)
    yield "<h2>How it was drawn</h2>\n" + facts((k.replace("_", " "), v) for k, v in told.items() if v is not None)


def _row(validation: Validation, strength: float, number: int, sprites: PageSprites) -> str:
    """base | LoRA | snapped | nearest training sprite."""
    drawn = validation.by_strength[strength]
    measured = drawn.measured[number]
    side, narrow = (_shown_px(drawn.images[number].shape[1], px) for px in (PICTURE_PX, NARROW_PX))
    colours = METRICS["num_colours"].format(measured.values["num_colours"]).removesuffix(".0")
    shown = [(drawn.images[number], f"LoRA at {strength:g}", "LoRA")]
    shown.append((measured.native, f"snapped, {colours} colours", "snapped"))
    if validation.base is not None:
        shown.insert(0, (validation.base.images[number], "base", "base"))
    if (nearest := measured.match) is not None:
        told = f"nearest training sprite, {nearest.distance:.2f} away"
        told += "<br><b>passes for a copy</b>" if nearest.memorised else ""
        shown.append((sprites.natives[nearest.sprite], told, sprites.captions[nearest.sprite]))
    tiles = (tile(pixels, side, caption, label, narrow) for pixels, caption, label in shown)
    head = f"<h3>{text(validation.prompts[number])}</h3>"
    return f"<div class=row>{head}<div class=tiles>{''.join(tiles)}</div></div>\n"


def _shown_px(side_px: int, wanted_px: int) -> int:
    """How wide an image of this side is shown: a whole multiple or a whole part of it, near `wanted_px`."""
    if side_px <= wanted_px:
        return side_px * (wanted_px // side_px)
    least = -(-side_px // (2 * wanted_px - 1))
    return side_px // next(part for part in range(least, side_px + 1) if side_px % part == 0)


def _strengths(validation: Validation) -> Iterator[str]:
    if len(validation.by_strength) < 2:
        return
    best = best_strength(validation)
    told = f"Best: {best:g}, {BEST_RULE}." if best is not None else "None is best: the LoRA changes nothing."
    yield f"<h2>By strength</h2>\n<p class=soft>{text(told)} Bands: {LEVEL:.0%} intervals of the mean.</p>\n"
    yield f"<div class=charts>{_colour_curve(validation, best)}"
    for name in (n for n in CHARTS if n in next(iter(validation.by_strength.values())).values):
        yield _curve(validation, name, best)
    yield "</div>\n<h2>Each strength, snapped</h2>\n<div class=rows>"
    for number in _examples(validation):
        tiles = [
            tile(drawn.measured[number].native, SMALL_PX, label, best=strength == best)
            for strength, label, drawn in _columns(validation)
        ]
        yield f"<div class=row><h3>{text(validation.prompts[number])}</h3><div class=tiles>{''.join(tiles)}</div></div>"
    yield "</div>\n"


def _columns(validation: Validation) -> list[tuple[float, str, DrawnSet]]:
    base = [] if validation.base is None else [(0.0, "base", validation.base)]
    return [*base, *((s, f"{s:g}", drawn) for s, drawn in validation.by_strength.items())]


def _examples(validation: Validation) -> list[int]:
    """A few images of either kind of prompt."""
    return [int(i) for seen in (True, False) for i in np.flatnonzero(validation.is_seen == seen)[:3]]


def _curve(validation: Validation, name: str, best: float | None) -> str:
    means = {s: mean_with_interval(drawn.values[name]) for s, drawn in validation.by_strength.items()}
    line = Line(list(means), [m[0] for m in means.values()], [(m[1], m[2]) for m in means.values()])
    level = mean_with_interval(validation.base.values[name])[0] if validation.base else None
    return _chart(METRICS[name], line, level, best)


def _colour_curve(validation: Validation, best: float | None) -> str:
    target, base = validation.target, validation.base
    distances = {s: target.distance_of(drawn.profiles) for s, drawn in validation.by_strength.items()}
    nan = float("nan")
    line = Line(list(distances), list(distances.values()), [(nan, nan)] * len(distances))
    return _chart(COLOUR_DISTANCE, line, target.distance_of(base.profiles) if base else None, best)


def _chart(metric: Metric, line: Line, level: float | None, best: float | None) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    return (
        f"<figure><strong>{text(metric.title)}</strong><small class=soft>{text(metric.direction.value)}{unit}</small>"
        f"{line_chart([line], level, best, 'strength', metric.digits)}</figure>"
    )


def _metrics(validation: Validation, strength: float) -> Iterator[str]:
    drawn = validation.by_strength[strength]
    comparisons = against_base(validation, strength)
    yield f"<h2>Metrics at strength {strength:g}</h2>\n"
    colours = _metric_row(
        COLOUR_DISTANCE, validation.target.distance_of(drawn.profiles), comparisons.get(COLOUR_DISTANCE.name)
    )
    absent = missing(validation, strength)
    rows = [("", colours)] + [
        ("", _metric_row(METRICS[name], mean_with_interval(drawn.values[name])[0], comparisons.get(name)))
        for name in METRICS
        if name in drawn.values and name not in absent
    ]
    heads = ["metric", "verdict", "base", "LoRA", f"difference, {LEVEL:.0%}", "pairs"]
    yield table(heads, rows, numbers_from=2)
    yield f"<p class=soft>{text(left_out(absent))}</p>\n" if absent else ""
    yield "<details><summary>every strength</summary>"
    columns = _columns(validation)
    cells = (
        ("", [text(METRICS[n].title), *(METRICS[n].format(mean_with_interval(d.values[n])[0]) for _, _, d in columns)])
        for n in METRICS
        if n in drawn.values
    )
    yield table(["metric", *(label for _, label, _ in columns)], cells) + "</details>\n"


def _metric_row(metric: Metric, value: float, found: Comparison | None) -> list[str]:
    title = f"{text(metric.title)}<br><span class=soft>{text(metric.meaning)}</span>"
    if found is None or not found.num_pairs:
        return [title, "", "-", metric.format(value), "-", "0"]
    verdict = f"<b class={TONES.get(found.outcome, 'unknown')}>{text(found.outcome.value)}</b>"
    ends = "-"
    if found.low == found.low:
        ends = f"{found.low:+.{metric.digits}f} to {found.high:+.{metric.digits}f}"
    return [title, verdict, metric.format(found.first), metric.format(found.second), ends, str(found.num_pairs)]


def _palette(drawn: DrawnSet, palette: Palette) -> Iterator[str]:
    colours, counts = count_colours(np.concatenate([m.native.reshape(-1, 3) for m in drawn.measured]))
    most, known = (np.argsort(-n, kind="stable")[:MOST_COLOURS_SHOWN] for n in (counts, palette.weights))
    yield "<h2>Colours in OKLab</h2>\n<div class=charts>"
    for head, plane in (
        ("training set", colour_plane(palette.colours[known], palette.weights[known])),
        ("LoRA, snapped", colour_plane(colours[most], counts[most] / counts.sum())),
    ):
        yield f"<figure><strong>{head}</strong>{plane}</figure>"
    yield "</div>\n<p class=soft>The most used colours, the larger the more; lightness is not shown.</p>\n"
