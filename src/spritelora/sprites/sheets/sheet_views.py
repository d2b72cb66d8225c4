"""Views that the cells of a sheet show, where pixels tell: two of four directions that mirror one another."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.grids.cell_grid import Cell, ground_colour
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.pixels.edges import pack_colours
from spritelora.sprites.pixels.image import Pixels

SIDE = "side view"

DIRECTIONS = 4
"""Columns, or rows, of a sheet that shows a subject from all sides."""

FEWEST_FRAMES = 3
COMMON_SHARE = 0.5
"""So much of what two frames cover they have in common, where they are frames of one subject."""

FREE_SHARE = 0.25
"""So much of a cell's left and right edge is empty, where it shows a figure and no tile."""

Lines = NDArray[np.uint32]
"""Columns or rows of equal cells, 0 where they are empty: (lines, frames, H, W)."""


def find_views(sheet: Pixels, layout: SheetLayout, cells: Sequence[Cell]) -> dict[tuple[int, int], str]:
    """The views that can be told, by row and column of their cells.

    Of four columns with three rows or more, or four rows with three columns or more, two show side views where each
    frame of one mirrors that of the other, but for one frame. Which way they face, and which of the others is the
    front, the pixels do not tell. `cells`: those of the whole grid, row by row.
    """
    num_rows, num_columns = cells[-1].row + 1, cells[-1].column + 1
    if DIRECTIONS not in (num_rows, num_columns) or min(num_rows, num_columns) < FEWEST_FRAMES:
        return {}
    packed = pack_colours(sheet)
    packed = np.where(packed == ground_colour(packed, layout), np.uint32(0), packed)
    grid = np.stack([packed[b.top : b.bottom, b.left : b.right] for b in (cell.box for cell in cells)])
    rows = grid.reshape(num_rows, num_columns, *grid.shape[1:])
    of_rows, of_columns = _side_lines(rows), _side_lines(rows.swapaxes(0, 1))
    if of_rows and of_columns:
        return {}
    return {(c.row, c.column): SIDE for c in cells if c.row in of_rows or c.column in of_columns}


def _side_lines(lines: Lines) -> tuple[int, ...]:
    """The two lines that show side views; none where there is no such pair, or more than one."""
    if len(lines) != DIRECTIONS or lines.shape[1] < FEWEST_FRAMES:
        return ()
    pairs = [pair for pair in combinations(range(DIRECTIONS), 2) if _are_sides(lines[pair[0]], lines[pair[1]])]
    return pairs[0] if len(pairs) == 1 else ()


def _are_sides(first: Lines, second: Lines) -> bool:
    """True for two lines of frames that show one figure from its two sides. Both: (frames, H, W)."""
    mirrored, fewest = second[..., ::-1], len(first) - 1
    faces = (first != first[..., ::-1]).any(axis=(1, 2)).sum() >= fewest
    return bool(
        faces
        and max(_num_equal(first, mirrored), _num_equal(first, mirrored[::-1])) >= fewest
        and _are_frames(first != 0)
        and all(1 - (edge != 0).mean() >= FREE_SHARE for edge in (first[..., 0], first[..., -1]))
    )


def _num_equal(first: Lines, second: Lines) -> int:
    return int((first == second).all(axis=(1, 2)).sum())


def _are_frames(masks: NDArray[np.bool_]) -> bool:
    """Whether each frame covers much of what the one before does."""
    both, either = masks[1:] & masks[:-1], masks[1:] | masks[:-1]
    areas = np.maximum(either.sum(axis=(1, 2)), 1)
    return bool((both.sum(axis=(1, 2)) >= COMMON_SHARE * areas).all())
