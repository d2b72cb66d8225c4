"""Charts as inline SVG: lines with their intervals, and colours on OKLab's plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spritelora.reports.page import render_part
from spritelora.sprites.pixels.image import hex_colour
from spritelora.sprites.pixels.palette import to_oklab

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_X_TICKS, MOST_DOTS = 7, 12
HUES = ("#2b5fa8", "#c4541d", "#2f8f4e", "#8a4fb0", "#b8860b", "#c2347a", "#2a9d9d", "#7a7a85")

Span = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Points of a chart. `band`: the ends of an interval at each, NaN where there is none."""

    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[Span] = ()


@dataclass(frozen=True)
class Chart:
    """A drawn chart under its title."""

    title: str
    svg: "Markup"
    note: str = ""


@dataclass(frozen=True)
class Axes:
    """The ranges of both axes, and the part of the chart that they span, in units of its view box."""

    xs: Span
    ys: Span
    width: int = 360
    height: int = 200
    left: int = 52
    right: int = 348
    top: int = 20
    bottom: int = 168

    def x(self, value: float) -> float:
        """Where a value stands from left to right."""
        return _between(value, self.xs, self.left, self.right)

    def y(self, value: float) -> float:
        """Where a value stands from top to bottom."""
        return _between(value, self.ys, self.bottom, self.top)

    def path(self, points: Sequence[Span]) -> str:
        """An SVG path along points."""
        return "M" + "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)


@dataclass(frozen=True)
class Dot:
    """A point that is shown, named where it is set out."""

    x: float
    y: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Curve:
    """A line as drawn: its path, the outline of its band, and its dots."""

    paint: str
    path: str
    band: str
    dots: Sequence[Dot]


def line_chart(
    lines: Sequence[Line],
    level: float | None = None,
    mark: float | None = None,
    x_name: str = "",
    digits: int = 3,
    from_zero: bool = False,
) -> "Markup":
    """Lines over shared axes. `level`: a dashed line across, such as the base's. `mark`: an x that is set out.

    `from_zero`: the upright axis begins there.
    """
    every_x = [x for line in lines for x in line.x]
    values = [y for line in lines for y in line.y] + [v for line in lines for pair in line.band for v in pair]
    values += [] if level is None else [level]
    values += [0.0] if from_zero else []
    axes = Axes(_span(every_x), _span_from_zero(values) if from_zero else _span(values))
    paints = HUES if len(lines) > 1 else ("var(--accent)",)
    return render_part(
        "line_chart.svg",
        chart=axes,
        x_name=x_name,
        x_labels=[(f"{x:.4g}", axes.x(x)) for x in _ticks(every_x, MOST_X_TICKS)],
        y_labels=list({f"{y:.{digits}f}": axes.y(y) for y in _ticks(values, 2)}.items()),
        level_y=axes.y(level) if level is not None and math.isfinite(level) else None,
        curves=[_curve(line, axes, paints[i % len(paints)], mark) for i, line in enumerate(lines)],
    )


def legend(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of several lines with the colours that `line_chart` gives them."""
    return [(name, HUES[i % len(HUES)]) for i, name in enumerate(names)] if len(names) > 1 else []


def colour_plane(colours: NDArray[np.uint8], shares: NDArray[np.float64]) -> "Markup":
    """Colours (K, 3) on OKLab's plane of a and b, lightness aside, as discs whose area says their share (K,)."""
    order = np.argsort(-shares, kind="stable")  # small discs over large ones
    places = to_oklab(colours[order])[:, 1:].tolist()
    discs = [
        {
            "x": round(150 + 420 * a, 1),
            "y": round(150 - 420 * b, 1),
            "radius": round(3 + 22 * math.sqrt(share), 1),
            "colour": hex_colour(colour),
        }
        for (a, b), colour, share in zip(places, colours[order].tolist(), shares[order].tolist(), strict=True)
    ]
    return render_part("colour_plane.svg", discs=discs)


def _span(values: Sequence[float]) -> Span:
    known = [v for v in values if math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = (high - low) * 0.06 or max(abs(high), 1e-6) * 0.1
    return low - room, high + room


def _span_from_zero(values: Sequence[float]) -> Span:
    """From zero, so that a small difference looks small; where values are below it, as they lie."""
    low, high = _span(values)
    return (0.0, high) if min((v for v in values if math.isfinite(v)), default=0.0) >= 0 else (low, high)


def _between(value: float, span: Span, start: float, end: float) -> float:
    return round(start + (value - span[0]) / (span[1] - span[0]) * (end - start), 1)


def _ticks(values: Sequence[float], most: int) -> list[float]:
    """The values themselves where they are few; else the ends and the middle."""
    known = sorted({v for v in values if math.isfinite(v)})
    if len(known) <= most:
        return known
    return [known[0], (known[0] + known[-1]) / 2, known[-1]]


def _curve(line: Line, axes: Axes, paint: str, mark: float | None) -> Curve:
    """The points that are finite; a band where two of them have an interval."""
    known = [i for i, y in enumerate(line.y) if math.isfinite(y)]
    banded = [i for i in known if line.band and all(math.isfinite(v) for v in line.band[i])]
    outline = [(line.x[i], line.band[i][1]) for i in banded] + [(line.x[i], line.band[i][0]) for i in reversed(banded)]
    return Curve(
        paint=paint,
        path=axes.path([(line.x[i], line.y[i]) for i in known]) if len(known) > 1 else "",
        band=axes.path(outline) if len(banded) > 1 else "",
        dots=[_dot(line.x[i], line.y[i], axes, mark) for i in known] if len(known) <= MOST_DOTS else [],
    )


def _dot(x: float, y: float, axes: Axes, mark: float | None) -> Dot:
    """A point, named if it is the mark; a name at the left end begins there, for it would lie over the axis."""
    is_first = axes.x(x) < axes.left + 30
    return Dot(axes.x(x), axes.y(y), f"best {x:g}" if x == mark else "", "start" if is_first else "middle")
