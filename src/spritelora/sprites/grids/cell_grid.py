"""Where the sprites of a sheet are: by a given grid, or by the gaps between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spritelora import limits
from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout, both_axes, text_of
from spritelora.sprites.pixels.edges import Packed, pack_colours
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.pieces import Box, Mask, find_pieces, join_pieces

SMALLEST_CELL_PX = 8
TOUCHING_SHARE = 0.5
"""Of the borders along one line of a grid, how many may be crossed: neighbours that touch, and no more."""

PIECES_PER_CELL = 1.5
"""Above so many large pieces in an occupied cell, a grid is not that of the sheet."""

FULL_SHARE = 0.9
BACKGROUND_SHARE = 0.5
"""A colour that covers more than this share of the edge of an image without transparency is its background."""


@dataclass(frozen=True)
class Cell:
    """A rectangle of a sheet, in pixels, and its place among the others, from 0."""

    row: int
    column: int
    box: Box

    def cut(self, image: Pixels) -> Pixels:
        """The pixels of the cell."""
        return image[self.box.top : self.box.bottom, self.box.left : self.box.right]


def grid_cells(image: Pixels, layout: SheetLayout) -> list[Cell]:
    """The cells of a fixed grid, row by row. Raises ValueError where the grid does not fit the image.

    What is left at the right and below must be of one colour.
    """
    if layout.cell is None:
        raise ValueError("a grid has cells of one size")
    cell, margin, spacing = layout.cell, both_axes(layout.margin), both_axes(layout.spacing)
    height, width = image.shape[:2]
    columns, rows = _counts((width, height), layout)
    given = f"cells of {cell[0]}x{cell[1]} px, margin {text_of(layout.margin)}, spacing {text_of(layout.spacing)}"
    if columns < 1 or rows < 1:
        raise ValueError(f"{width}x{height} px is smaller than {given}")
    limits.CELLS.check(columns * rows, found=f"{width}x{height} px has {columns * rows:,} {given}")
    right, below = (m + n * (c + s) - s for n, c, m, s in zip((columns, rows), cell, margin, spacing, strict=True))
    rest = image[:, right : max(right, width - margin[0])], image[below : max(below, height - margin[1])]
    if not all(is_flat(part) for part in rest):
        raise ValueError(f"{width}x{height} px is no whole number of {given}: sprites are left over at the edge")
    return grid_boxes((width, height), layout)


def grid_boxes(size: Pair, layout: SheetLayout) -> list[Cell]:
    """The cells of a grid on a sheet of a size, width first, whatever is left of it."""
    cell = layout.cell or size
    starts = [
        range(m, m + n * (c + s), c + s)
        for n, c, m, s in zip(
            _counts(size, layout), cell, both_axes(layout.margin), both_axes(layout.spacing), strict=True
        )
    ]
    return [
        Cell(row, column, Box(x, y, x + cell[0], y + cell[1]))
        for row, y in enumerate(starts[1])
        for column, x in enumerate(starts[0])
    ]


def _counts(size: Pair, layout: SheetLayout) -> Pair:
    """Columns and rows of cells that lie whole on a sheet."""
    axes = zip(size, layout.cell or size, both_axes(layout.margin), both_axes(layout.spacing), strict=True)
    columns, rows = ((n - m + s) // (c + s) for n, c, m, s in axes)
    return columns, rows


def find_cells(image: Pixels) -> list[Cell]:
    """The cells of a sheet whose sprites are apart, on a grid or anywhere, row by row.

    The gaps are fully transparent, or of the colour that most of the sheet's edge has. Raises ValueError where no gaps
    tell two sprites apart.
    """
    height, width = image.shape[:2]
    limits.SEARCHED_PIXELS.check(height * width, found=f"{width}x{height}")
    for mask in _foregrounds(image):
        cells = _full_cells(mask) or _grid_by_gaps(mask) or _scattered(mask)
        if 1 < len(cells) <= limits.CELLS.most:
            return cells
    raise ValueError(f"no gaps between sprites were found in {width}x{height} px; name the cells, such as sheet=32x32")


def filled_cells(sheet: Pixels, layout: SheetLayout) -> list[Cell]:
    """The cells of a grid that are not empty: not all transparent, nor all of the sheet's background.

    Raises ValueError where the grid does not fit the image.
    """
    packed = pack_colours(sheet)
    ground = ground_colour(packed, layout)
    cells = grid_cells(sheet, layout)
    return [c for c in cells if (packed[c.box.top : c.box.bottom, c.box.left : c.box.right] != ground).any()]


def is_flat(image: Pixels) -> bool:
    """Whether an RGBA image is empty: all transparent, or all of one colour; also where it has no pixels."""
    visible = image * (image[..., 3:] > 0)
    return visible.size == 0 or bool((visible == visible[:1, :1]).all())


def edge_colour(packed: Packed) -> int:
    """The colour that covers most of the edge of an image without transparency; 0 where there is none, or it has some.

    `packed`: (H, W), 0 for transparent pixels.
    """
    if not packed.all():
        return 0
    edge = np.concatenate([packed[0], packed[-1], packed[:, 0], packed[:, -1]])
    colours, counts = np.unique(edge, return_counts=True)
    return int(colours[counts.argmax()]) if counts.max() > BACKGROUND_SHARE * len(edge) else 0


def ground_colour(packed: Packed, layout: SheetLayout) -> int:
    """The background of a sheet without transparency: the colour between its cells, else that of its edge; 0 for none.

    A line between cells may have a colour of its own: it is the background where cells are full of it.
    """
    if not packed.all() or layout.cell is None:
        return 0
    cells = grid_boxes((packed.shape[1], packed.shape[0]), layout)
    parts = [packed[c.box.top : c.box.bottom, c.box.left : c.box.right] for c in cells]
    flat = {int(part[0, 0]) for part in parts if (part == part[0, 0]).all()}
    first = cells[0].box
    if both_axes(layout.spacing)[0] and first.right < packed.shape[1]:
        between = int(packed[first.top, first.right])
        if between in flat:
            return between
    return edge_colour(packed)


def _foregrounds(image: Pixels) -> Iterator[Mask]:
    """Masks of what is no background, for each background that the sheet may have."""
    alpha = image[..., 3] > 0
    if not alpha.all():
        yield alpha
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colours, counts = np.unique(edge, axis=0, return_counts=True)
    colour = colours[counts.argmax()]
    if colour[3]:
        yield (image != colour).any(axis=-1) & alpha


def _full_cells(mask: Mask) -> list[Cell]:
    """Cells that are filled from edge to edge, all of one size and apart by one gap; none where they are not so."""
    across, down = (_runs(np.asarray(mask.any(axis=axis), dtype=np.bool_)) for axis in (0, 1))
    if len(across) * len(down) < 2 or not (_is_regular(across) and _is_regular(down)):
        return []
    cells = [Cell(r, c, Box(x0, y0, x1, y1)) for r, (y0, y1) in enumerate(down) for c, (x0, x1) in enumerate(across)]
    filled = [float(mask[c.box.top : c.box.bottom, c.box.left : c.box.right].mean()) for c in cells]
    return cells if min(f for f in filled if f) >= FULL_SHARE else []


def _runs(present: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(present, 1).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _is_regular(runs: list[tuple[int, int]]) -> bool:
    starts = np.diff([a for a, _ in runs])
    return len({b - a for a, b in runs}) == 1 and len(set(starts.tolist())) <= 1


def _grid_by_gaps(mask: Mask) -> list[Cell]:
    """Cells that divide the sheet evenly and that hardly a sprite crosses: the most occupied, then the largest."""
    height, width = int(mask.shape[0]), int(mask.shape[1])
    filled = _sums(_sums(mask).T).T
    beside, above = _sums(_touching(mask)), _sums(_touching(mask.T))
    best: tuple[int, int, int, int] | None = None
    for cell_h in _divisors(height):
        for cell_w in _divisors(width):
            occupied = np.diff(np.diff(filled[::cell_h, ::cell_w], axis=0), axis=1) > 0
            lines_x = np.diff(beside[::cell_h, cell_w:-1:cell_w], axis=0) > 0
            lines_y = np.diff(above[::cell_w, cell_h:-1:cell_h], axis=0) > 0
            if _is_apart(lines_x, occupied) and _is_apart(lines_y, occupied.T):
                candidate = (int(occupied.sum()), cell_w * cell_h, cell_w, cell_h)
                best = max(best or candidate, candidate)
    if best is None or best[0] < 2 or num_large(mask) > PIECES_PER_CELL * best[0]:
        return []
    return _even_cells(mask.shape, best[2], best[3])


def _is_apart(crossed: Mask, occupied: Mask) -> bool:
    """Whether each line between two columns of cells is crossed by few sprites. `crossed`: a row less wide."""
    pairs = (occupied[:, 1:] & occupied[:, :-1]).sum(axis=0)
    return bool((crossed.sum(axis=0) <= TOUCHING_SHARE * pairs).all())


def _touching(mask: Mask) -> Mask:
    """Where a column's pixel touches one of the column before, at corners too: (H, W + 1), beyond both edges none."""
    wide = np.pad(mask, 1)
    after, before = wide[:, 1:], wide[:, :-1]
    near = after[1:-1] & (before[1:-1] | before[2:] | before[:-2])
    return near | (before[1:-1] & (after[2:] | after[:-2]))


def _even_cells(shape: tuple[int, ...], cell_w: int, cell_h: int) -> list[Cell]:
    return [
        Cell(y // cell_h, x // cell_w, Box(x, y, x + cell_w, y + cell_h))
        for y in range(0, shape[0], cell_h)
        for x in range(0, shape[1], cell_w)
    ]


def _sums(counts: NDArray[Any]) -> NDArray[np.int32]:
    """Sums down each column, from no row to all of them: (H + 1, W)."""
    return np.pad(np.cumsum(counts, axis=0, dtype=np.int32), ((1, 0), (0, 0)))


def _divisors(length: int) -> list[int]:
    return [d for d in range(SMALLEST_CELL_PX, length + 1) if length % d == 0]


def num_large(mask: Mask) -> int:
    """The number of connected pieces that are no specks beside the others."""
    areas = np.array([p.area for p in find_pieces(mask)])
    if not len(areas):
        return 0
    return int((areas >= 0.25 * np.median(areas[areas >= 0.1 * areas.max()])).sum())


def _scattered(mask: Mask) -> list[Cell]:
    """The box of each sprite of a sheet without a grid; those whose heights overlap are one row, from left to right."""
    boxes = sorted(join_pieces(find_pieces(mask)), key=lambda b: (b.top, b.left))
    rows: list[list[Box]] = []
    for box in boxes:
        if rows and box.top < min(b.bottom for b in rows[-1]):
            rows[-1].append(box)
        else:
            rows.append([box])
    return [
        Cell(r, c, box)
        for r, row in enumerate(rows)
        for c, box in enumerate(sorted(row, key=lambda b: (b.left, b.top)))
    ]
