"""The grid of a sheet whose cells touch or stand apart, by where drawing goes on from pixel to pixel and where not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.grids.cell_grid import SMALLEST_CELL_PX
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.pixels.edges import Packed

MARGINS, SPACINGS = range(4), range(4)
WINDOW = (2, 5)
"""A line is compared with the lines at so many pixels on both sides; those beside it belong to an outline."""

BREAK_SHARE = 0.6
"""Where less than this share of equal neighbours is left, drawing breaks off."""

SURE_BORDERS, LIKELY_BORDERS = 0.95, 0.75
"""The share of lines between cells where drawing breaks off: of a grid that is sure, and of one to ask about."""

RIVAL_BORDERS, HALF_BORDERS = 0.6, 0.5
"""The same share of a finer grid, from which on a coarser one is no longer sure, and a lone row is none."""

MOST_WITHIN = 0.25
"""The share of lines in the middle of cells where it may break off too."""

SURE_EVIDENCE, LIKELY_EVIDENCE = 12.0, 6.0
"""How much less likely than chance the borders of a grid are, as a natural logarithm."""

LEAST_BASE = 0.03
GROUP = 4
"""From so many images of one size on, each line is judged by how many of them break off there."""

GROUP_MARK, GROUP_MIDDLE = 0.6, 0.4
"""The share of its images from which on drawing breaks off at a line between cells, and within one."""

FEWEST_LINES = 3
"""Lines along an axis that tell a side of cells that are not square."""

MOST_WEIGHT = 8
"""Images of a group count as so many at most, for they may be recolours of one."""

MOST_TRIED = 12
"""Combs of each axis that guesses are made of."""

MOST_WIDE, MOST_LONE = 3, 2
"""A cell is not more times as long as wide; one of a lone row or column is less so, or it may be several."""


@dataclass(frozen=True)
class Comb:
    """Evenly spaced lines along one axis: `stride` apart, from `margin` on, `spacing` pixels wide.

    `number`: of lines. `evidence`: against chance, in nats. `borders`, `within`: shares of lines between cells, and in
    their middle, where drawing breaks off.
    """

    stride: int
    margin: int
    spacing: int
    number: int
    evidence: float
    borders: float
    within: float

    @property
    def is_sure(self) -> bool:
        """Whether nearly all of its lines break off and nearly none between them."""
        return self.borders >= SURE_BORDERS and self.within <= MOST_WITHIN

    @property
    def is_likely(self) -> bool:
        """Whether it is worth asking about."""
        return self.borders >= LIKELY_BORDERS and self.within <= 2 * MOST_WITHIN


@dataclass(frozen=True)
class SeamVerdict:
    """The grid of sheets of one size, None where there is doubt; and up to two guesses, the better one first.

    `is_likely`: the first guess is not by chance.
    """

    sure: SheetLayout | None
    guesses: tuple[SheetLayout, ...] = ()
    is_likely: bool = False


def seam_grid(sheets: Sequence[Packed]) -> SeamVerdict:
    """The grid that images of one size share, (H, W) each, 0 for what is background."""
    height, width = sheets[0].shape
    margins = [m for m in MARGINS if all(_is_framed(sheet, m) for sheet in sheets)]
    across = _combs([_Axis.of(sheet) for sheet in sheets], margins)
    down = _combs([_Axis.of(sheet.T) for sheet in sheets], margins)
    doubt = _guess(across, down, (width, height))
    x, y = (next((comb for comb in combs if comb.is_sure), None) for combs in (across, down))
    if sum(comb.evidence for comb in (x, y) if comb) < SURE_EVIDENCE or not _is_square_or_told(x, y):
        return doubt
    is_lone = x is None or y is None
    if not (_is_settled(x, across) and _is_settled(y, down)):
        return doubt
    layout = _layout(x, y, (width, height))
    if layout is None or layout.cell is None or (is_lone and max(layout.cell) >= MOST_LONE * min(layout.cell)):
        return doubt
    return replace(doubt, sure=layout)


def _is_settled(comb: Comb | None, combs: Sequence[Comb]) -> bool:
    """Whether an axis has one comb: a sure one that no finer one rivals; or none at all, not even a likely one.

    The lines of a comb are every second or third of a finer one, which is a rival where some of the others break off.
    """
    if comb is None:
        return not any(c.borders >= HALF_BORDERS for c in combs)
    finer = (c for c in combs if c.stride < comb.stride)
    return not any(c.is_likely or (comb.stride % c.stride == 0 and c.borders >= RIVAL_BORDERS) for c in finer)


def _is_square_or_told(x: Comb | None, y: Comb | None) -> bool:
    """Whether cells are square, or each side is told by several lines: one line alone may lie within a cell.

    The side of a lone row or column is told by its own length.
    """
    if x is None or y is None or x.stride == y.stride:
        return True
    return min(x.number, y.number) >= FEWEST_LINES


def _guess(across: Sequence[Comb], down: Sequence[Comb], size: tuple[int, int]) -> SeamVerdict:
    """The pairs of combs to ask about: those of most evidence first, then those of usual sides."""
    columns, rows = ([*sorted(combs, key=_weight, reverse=True)[:MOST_TRIED], None] for combs in (across, down))
    ranked: list[tuple[float, bool, SheetLayout]] = []
    for x, y in product(columns, rows):
        known = [comb for comb in (x, y) if comb]
        layout = _layout(x, y, size)
        if layout is not None and layout.cell is not None:
            sides = sum(2.0 for side in layout.cell if side % 8 == 0) + 8.0 * (layout.cell[0] == layout.cell[1])
            is_likely = all(c.is_likely for c in known) and sum(c.evidence for c in known) >= LIKELY_EVIDENCE
            ranked.append((100.0 * is_likely + sum(map(_weight, known)) + sides, is_likely, layout))
    ranked.sort(key=lambda guess: -guess[0])
    layouts = tuple(dict.fromkeys(layout for *_, layout in ranked))[:2]
    return SeamVerdict(None, layouts, bool(ranked) and ranked[0][1])


def _weight(comb: Comb) -> float:
    """How much speaks for a comb that need not be likely."""
    return max(0.0, comb.evidence) + 8.0 * (comb.borders - comb.within) - 4.0 * bool(comb.margin or comb.spacing)


def _layout(x: Comb | None, y: Comb | None, size: tuple[int, int]) -> SheetLayout | None:
    """The cells between two combs; a missing one leaves its axis whole. None for ribbons and unequal margins."""
    known = [comb for comb in (x, y) if comb]
    if not known or len({(comb.margin, comb.spacing) for comb in known}) > 1:
        return None
    margin, spacing = known[0].margin, known[0].spacing
    cell = tuple(
        comb.stride - spacing if comb else length - 2 * margin for comb, length in zip((x, y), size, strict=True)
    )
    return SheetLayout((cell[0], cell[1]), margin, spacing) if max(cell) <= MOST_WIDE * min(cell) else None


def _is_framed(packed: Packed, margin: int) -> bool:
    """Whether so many pixels along all four edges have one colour."""
    inner = np.ones(packed.shape, dtype=np.bool_)
    inner[margin : packed.shape[0] - margin, margin : packed.shape[1] - margin] = False
    return margin == 0 or len(np.unique(packed[inner])) == 1


def column_breaks(packed: Packed) -> NDArray[np.bool_]:
    """Whether drawing breaks off between each column and the one before it: (W,), the first one True.

    It goes on where neighbours of the two columns have one colour; in touching outlines that is so too, but in far
    fewer rows than within a sprite.
    """
    same = (packed[:, 1:] == packed[:, :-1]) & (packed[:, 1:] != 0)
    going_on = same.sum(axis=0).astype(np.float64)
    near, far = WINDOW
    padded = np.pad(going_on, far, mode="reflect")
    shifts = [*range(-far, 1 - near), *range(near, far + 1)]
    around = np.stack([padded[far + s : far + s + len(going_on)] for s in shifts])
    usual = np.median(around, axis=0)
    return np.concatenate([[True], (going_on == 0) | (going_on <= BREAK_SHARE * usual)])


@dataclass(frozen=True)
class _Axis:
    """Where drawing breaks off between columns, (W,), and which columns are background, (W,)."""

    breaks: NDArray[np.bool_]
    clear: NDArray[np.bool_]

    @classmethod
    def of(cls, packed: Packed) -> "_Axis":
        return cls(column_breaks(packed), (packed == 0).all(axis=0))


def _combs(axes: Sequence[_Axis], margins: Sequence[int]) -> list[Comb]:
    """The combs that divide a length evenly, the finest first, those without margin and spacing before others."""
    shares = np.mean([axis.breaks for axis in axes], axis=0)
    clear = np.all([axis.clear for axis in axes], axis=0)
    length = len(clear)
    if len(axes) >= GROUP:  # a line is where most images break off, outlines beside it included
        wide = np.maximum(shares, np.maximum(np.roll(shares, 1), np.roll(shares, -1)))
        marks, middles = wide >= GROUP_MARK, shares >= GROUP_MIDDLE
    else:
        marks = middles = shares >= 0.5
    combs: list[Comb] = []
    for stride in range(SMALLEST_CELL_PX, length):
        for margin, spacing in product(margins, SPACINGS):
            whole = length - 2 * margin + spacing
            if whole % stride or whole < 2 * stride or stride - spacing < SMALLEST_CELL_PX:
                continue
            starts = np.arange(margin + stride, length - margin, stride)
            if all(clear[starts - gap].all() for gap in range(1, spacing + 1)):
                combs.append(_comb(marks, middles, starts, (stride, margin, spacing), len(axes)))
    return combs


def _comb(
    marks: NDArray[np.bool_],
    middles: NDArray[np.bool_],
    starts: NDArray[np.intp],
    form: tuple[int, int, int],
    num_images: int,
) -> Comb:
    """`starts`: of all cells but the first. `form`: stride, margin and spacing."""
    stride, margin, spacing = form
    places = np.arange(margin + 1, len(marks) - margin)
    after = (places - margin) % stride
    off = np.minimum(after, stride - spacing - after)
    middle, inside = places[off >= max(2, stride // 4)], places[off >= 2]
    base = max(LEAST_BASE, float(middles[inside].mean()) if len(inside) else 1.0)
    hits = marks[starts] & marks[starts - spacing]
    weight = min(num_images, MOST_WEIGHT) if num_images >= GROUP else 1
    evidence = weight * math.log(1 / base) * (2 * int(hits.sum()) - len(hits))
    within = float(middles[middle].mean()) if len(middle) else 1.0
    return Comb(stride, margin, spacing, len(starts), evidence, float(hits.mean()), within)
