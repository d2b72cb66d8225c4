"""Charts as inline SVG: lines with their intervals, and colours on OKLab's plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.reports.page import text
from spritelora.sprites.pixels.palette import to_oklab

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 348, 20, 168
MOST_X_TICKS = 7
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
    values = [y for line in lines for y in line.y]
    values += [v for line in lines for pair in line.band for v in pair] + ([] if level is None else [level])
    ys = _span(values)
    x_ticks = _ticks([x for line in lines for x in line.x], most=MOST_X_TICKS)
    parts = _axes(xs, ys, x_ticks, _ticks(values, most=2), digits, x_name)
    if level is not None and math.isfinite(level):
        at = _place(level, ys, BOTTOM, TOP)
        parts += f'<path d="M{LEFT} {at:.1f}H{RIGHT}" stroke="currentColor" stroke-dasharray="4 4" opacity=".6"/>'
        parts += f'<text x="{LEFT + 4}" y="{at - 4:.1f}">base</text>'
    for number, line in enumerate(lines):
        parts += _draw(line, xs, ys, HUES[number % len(HUES)] if len(lines) > 1 else "var(--series)", mark)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{parts}</svg>'


def legend(names: Sequence[str]) -> str:
    """The colours that `line_chart` gives several lines, by name."""
    items = (f'<span style="color:{HUES[i % len(HUES)]}">■</span> {text(name)}' for i, name in enumerate(names))
    return f"<p class=soft>{' &nbsp; '.join(items)}</p>" if len(names) > 1 else ""


def colour_plane(colours: NDArray[np.uint8], shares: NDArray[np.float64]) -> str:
    """Colours (K, 3) on OKLab's plane of a and b, lightness aside, as discs whose area says their share (K,)."""
    parts = '<path d="M10 150H290M150 10V290" stroke="currentColor" opacity=".25"/>'
    order = np.argsort(-shares, kind="stable")  # small discs over large ones
    for (_, a, b), colour, share in zip(
        to_oklab(colours[order]).tolist(), colours[order].tolist(), shares[order].tolist(), strict=True
    ):
        code = "#{:02x}{:02x}{:02x}".format(*colour)
        parts += (
            f'<circle cx="{150 + 420 * a:.1f}" cy="{150 - 420 * b:.1f}" r="{3 + 22 * math.sqrt(share):.1f}" '
            f'fill="{code}" stroke="currentColor" stroke-opacity=".35"/>'
        )
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


def _axes(xs: Span, ys: Span, x_ticks: Sequence[float], y_ticks: Sequence[float], digits: int, x_name: str) -> str:
    parts = f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="currentColor" opacity=".4"/>'
    for label, y in {f"{y:.{digits}f}": y for y in y_ticks}.items():
        parts += f'<text x="{LEFT - 6}" y="{_place(y, ys, BOTTOM, TOP) + 4:.1f}" text-anchor="end">{label}</text>'
    for x in x_ticks:
        parts += f'<text x="{_place(x, xs, LEFT, RIGHT):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{x:.4g}</text>'
    return parts + f'<text x="{(LEFT + RIGHT) // 2}" y="{HEIGHT + 4}" text-anchor="middle">{text(x_name)}</text>'


def _ticks(values: Sequence[float], most: int) -> list[float]:
    """The values themselves where they are few; else the ends and the middle."""
    known = sorted({v for v in values if math.isfinite(v)})
    if len(known) <= most:
        return known
    return [known[0], (known[0] + known[-1]) / 2, known[-1]]


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
