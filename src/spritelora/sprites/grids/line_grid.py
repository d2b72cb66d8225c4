"""The grid of a sheet whose cells are apart by rows and columns of one colour or of nothing."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.grids.cell_grid import SMALLEST_CELL_PX, grid_boxes
from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout, one_where_equal
from spritelora.sprites.pixels.edges import Packed

FEWEST_LINES = 3
"""Lines between cells, along both axes together, from which on their regular distances are no chance."""

MOST_WIDE = 3
"""A cell is not more times as long as wide."""

MOST_ALIKE = 0.5
"""Above this share of cells that show the same, the lines belong to a pattern within one picture: panes, a fence."""


@dataclass(frozen=True)
class Runs:
    """Runs of pixels along an axis that are no separators: all `length` long, a whole number of `stride` apart."""

    first: int
    length: int
    stride: int
    number: int


def line_grid(packed: Packed) -> SheetLayout | None:
    """The grid whose separators are rows and columns of one colour from edge to edge; None where there is none.

    `packed`: (H, W), 0 for transparent pixels. All cells must be filled to the same extent somewhere, so that each row
    and column of cells shows its whole length.
    """
    for colour in _line_colours(packed):
        axes = [_regular_runs((packed != colour).any(axis=axis)) for axis in (0, 1)]
        if any(runs is None for runs in axes):
            continue
        across, down = (runs for runs in axes if runs is not None)
        layout = _layout(packed.shape[::-1], across, down, colour == 0)
        if layout is not None and not is_pattern(packed, layout):
            return layout
    return None


def _line_colours(packed: Packed) -> list[int]:
    """The colours that fill whole rows and whole columns: transparency first, then those of most lines."""
    rows = packed[(packed == packed[:, :1]).all(axis=1), 0]
    columns = packed[0, (packed == packed[:1]).all(axis=0)]
    counts = Counter([*rows.tolist(), *columns.tolist()])
    return sorted(counts, key=lambda colour: (colour != 0, -counts[colour]))[:3]


def _regular_runs(present: NDArray[np.bool_]) -> Runs | None:
    edges = np.flatnonzero(np.diff(np.pad(present, 1).astype(np.int8))).reshape(-1, 2)
    lengths, starts = np.diff(edges, axis=1)[:, 0], edges[:, 0]
    if not len(edges) or len(set(lengths.tolist())) > 1 or lengths[0] < SMALLEST_CELL_PX:
        return None
    if len(edges) == 1:
        return Runs(int(starts[0]), int(lengths[0]), 0, 1)
    steps = np.diff(starts)
    stride = int(steps.min())
    if (steps % stride).any():
        return None
    return Runs(int(starts[0]), int(lengths[0]), stride, 1 + int(steps.sum()) // stride)


def _layout(size: Pair, across: Runs, down: Runs, is_clear: bool) -> SheetLayout | None:
    """The layout of regular runs; cells that divide a sheet evenly include the clear pixels around what is in them."""
    if across.number + down.number - 2 < FEWEST_LINES:
        return None
    cell, margin, spacing = zip(
        *(_axis(length, runs, is_clear) for length, runs in zip(size, (across, down), strict=True)), strict=True
    )
    if max(cell) > MOST_WIDE * min(cell):
        return None
    return SheetLayout((cell[0], cell[1]), one_where_equal((margin[0], margin[1])), one_where_equal(spacing))


def _axis(length: int, runs: Runs, is_clear: bool) -> tuple[int, int, int]:
    """Cell, margin and spacing along one axis."""
    if runs.number == 1:
        return (length, 0, 0) if is_clear else (runs.length, runs.first, 0)
    gap = runs.stride - runs.length
    is_even = is_clear and length % runs.stride == 0 and runs.first <= gap
    if is_even and (runs.stride % 8 == 0 or (gap > 1 and runs.length % 8)):
        return runs.stride, 0, 0
    return runs.length, runs.first % runs.stride, gap


def is_pattern(packed: Packed, layout: SheetLayout) -> bool:
    """Whether most cells show the same, as the panes of one window do."""
    height, width = packed.shape
    boxes = [cell.box for cell in grid_boxes((width, height), layout)]
    cells = [packed[box.top : box.bottom, box.left : box.right] for box in boxes]
    shown = [cell.tobytes() for cell in cells if (cell != cell[0, 0]).any()]
    return not shown or Counter(shown).most_common(1)[0][1] > max(2, MOST_ALIKE * len(shown))
