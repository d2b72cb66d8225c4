"""Charts as inline SVG: lines with their intervals, and colours on OKLab's plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.page import text
from spritelora.sprites.palette import to_oklab

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 348, 14, 172
HUES = ("#2b5fa8", "#c4541d", "#2f8f4e", "#8a4fb0", "#b8860b", "#c2347a", "#2a9d9d", "#7a7a85")

Span = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Points of a chart. `band`: the ends of an interval at each, NaN where there is none. `name`: for the legend."""

    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[Span] = ()
    name: str = ""


def line_chart(
    lines: Sequence[Line], level: float | None = None, mark: float | None = None, x_name: str = "", digits: int = 3
) -> str:
    """Lines over shared axes. `level`: a dashed line across, such as the base's. `mark`: an x that is set out."""
    xs = _span([x for line in lines for x in line.x])
    spread = [v for line in lines for pair in line.band for v in pair]
    ys = _span([*(y for line in lines for y in line.y), *spread, *([] if level is None else [level])])
    parts = _axes(xs, ys, digits, x_name)
    if level is not None and math.isfinite(level):
        at = _place(level, ys, BOTTOM, TOP)
        parts += f'<path d="M{LEFT} {at:.1f}H{RIGHT}" stroke="currentColor" stroke-dasharray="4 4" opacity=".6"/>'
        parts += f'<text x="{RIGHT}" y="{at - 4:.1f}" text-anchor="end">base</text>'
    for number, line in enumerate(lines):
        parts += _draw(line, xs, ys, HUES[number % len(HUES)] if len(lines) > 1 else "var(--series)", mark)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{parts}</svg>'


def legend(names: Sequence[str]) -> str:
    """The colours that `line_chart` gives several lines, by name."""
    items = (f'<span style="color:{HUES[i % len(HUES)]}">■</span> {text(name)}' for i, name in enumerate(names))
    return f"<p class=soft>{' &nbsp; '.join(items)}</p>" if len(names) > 1 else ""


def colour_plane(sets: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64], bool]]) -> str:
    """Colours on OKLab's plane of a and b, lightness aside: (K, 3) with their shares (K,), filled or as rings."""
    parts = "".join(
        f'<path d="M{x} {y}" stroke="none"/>' for x, y in ((0, 0),)
    ) + '<path d="M10 150H290M150 10V290" stroke="currentColor" opacity=".25"/>'
    for colours, shares, is_filled in sets:
        lab = to_oklab(colours)
        for (_, a, b), colour, share in zip(lab.tolist(), colours.tolist(), shares.tolist(), strict=True):
            code = "#{:02x}{:02x}{:02x}".format(*colour)
            radius = 3 + 22 * math.sqrt(share)
            paint = f'fill="{code}" stroke="currentColor" stroke-opacity=".35"' if is_filled else (
                f'fill="none" stroke="{code}" stroke-width="2.5"'
            )
            parts += f'<circle cx="{150 + 420 * a:.1f}" cy="{150 - 420 * b:.1f}" r="{radius:.1f}" {paint}/>'
    words = (("288", "146", "end", "red"), ("12", "146", "start", "green"), ("154", "20", "start", "yellow"))
    parts += "".join(f'<text x="{x}" y="{y}" text-anchor="{end}">{word}</text>' for x, y, end, word in words)
    parts += '<text x="154" y="288">blue</text>'
    return f'<svg viewBox="0 0 300 300" role="img">{parts}</svg>'


def _span(values: Sequence[float]) -> Span:
    known = [v for v in values if math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = (high - low) * 0.06 or max(abs(high), 1e-6) * 0.1
    return low - room, high + room


def _place(value: float, span: Span, start: float, end: float) -> float:
    return start + (value - span[0]) / (span[1] - span[0]) * (end - start)


def _axes(xs: Span, ys: Span, digits: int, x_name: str) -> str:
    parts = f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="currentColor" opacity=".4"/>'
    for share in (0.06, 0.5, 0.94):
        y = ys[0] + share * (ys[1] - ys[0])
        parts += f'<text x="{LEFT - 6}" y="{_place(y, ys, BOTTOM, TOP) + 4:.1f}" text-anchor="end">{y:.{digits}f}</text>'
    for share in (0.0, 0.5, 1.0):
        x = xs[0] + (0.06 + 0.88 * share) / 1.0 * (xs[1] - xs[0])
        parts += f'<text x="{_place(x, xs, LEFT, RIGHT):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{x:.3g}</text>'
    return parts + f'<text x="{RIGHT}" y="{HEIGHT - 1}" text-anchor="end">{text(x_name)}</text>'


def _draw(line: Line, xs: Span, ys: Span, paint: str, mark: float | None) -> str:
    def at(x: float, y: float) -> str:
        return f"{_place(x, xs, LEFT, RIGHT):.1f} {_place(y, ys, BOTTOM, TOP):.1f}"

    known = [i for i, y in enumerate(line.y) if math.isfinite(y)]
    parts = ""
    banded = [i for i in known if line.band and all(math.isfinite(v) for v in line.band[i])]
    if len(banded) > 1:
        upper = [at(line.x[i], line.band[i][1]) for i in banded]
        lower = [at(line.x[i], line.band[i][0]) for i in reversed(banded)]
        parts += f'<path d="M{"L".join([*upper, *lower])}Z" fill="{paint}" opacity=".18"/>'
    if len(known) > 1:
        points = "L".join(at(line.x[i], line.y[i]) for i in known)
        parts += f'<path d="M{points}" fill="none" stroke="{paint}" stroke-width="2"/>'
    for i in known if len(known) <= 12 else ():
        x, y = at(line.x[i], line.y[i]).split()
        is_marked = mark is not None and line.x[i] == mark
        parts += f'<circle cx="{x}" cy="{y}" r="{6 if is_marked else 3}" fill="{paint}"/>'
        if is_marked:
            parts += f'<text x="{x}" y="{float(y) - 10:.1f}" text-anchor="middle">best {line.x[i]:g}</text>'
    return parts
