"""Connected pieces of a mask, and which of them are one sprite."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

MAX_RUNS = 1_500_000
MAX_PIECES = 10_000
NEAR_PX = 2
SMALL_SHARE = 0.1
"""A piece of less than this share of a larger one within `NEAR_PX` of it belongs to it: a spark, an eye, a dot."""


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` are the first beyond it."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Piece:
    """Pixels that touch, at corners too: the box around them and their number."""

    box: Box
    area: int


def find_pieces(mask: Mask) -> list[Piece]:
    """The connected pieces of a mask (H, W). Raises ValueError where it is too scattered for a sheet of sprites."""
    rows, starts, ends = _runs(mask)
    if len(rows) > MAX_RUNS:
        raise ValueError(
            "too scattered for a sheet of sprites: noise or a photograph; name the cells, such as sheet=32x32"
        )
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: list[int] = np.searchsorted(rows, np.arange(int(mask.shape[0]) + 1)).tolist()
    start, end = starts.tolist(), ends.tolist()
    for y in range(1, mask.shape[0]):
        upper, lower = first[y - 1], first[y]
        while upper < first[y] and lower < first[y + 1]:
            if start[upper] <= end[lower] and start[lower] <= end[upper]:
                a, b = root(upper), root(lower)
                parent[max(a, b)] = min(a, b)
            if end[upper] < end[lower]:
                upper += 1
            else:
                lower += 1
    return _measure(np.array([root(i) for i in range(len(parent))], dtype=np.int64), rows, starts, ends)


def join_pieces(pieces: list[Piece]) -> list[Box]:
    """The box of each sprite: pieces whose boxes overlap are one, and so are small ones close to a large one."""
    if len(pieces) > MAX_PIECES:
        raise ValueError(f"{len(pieces):,} pieces are no sheet of sprites; name the cells, such as sheet=32x32")
    pieces = sorted(pieces, key=lambda p: (-p.area, p.box))
    boxes = np.array([p.box for p in pieces], dtype=np.int64).reshape(-1, 4)
    areas = np.array([p.area for p in pieces], dtype=np.int64)
    is_kept = np.zeros(len(pieces), dtype=np.bool_)
    for i, piece in enumerate(pieces):
        while True:
            grown = Box(*boxes[i].tolist())
            near = _overlap(boxes, grown, 0) | (_overlap(boxes, grown, NEAR_PX) & (piece.area < SMALL_SHARE * areas))
            near &= is_kept
            if not near.any():
                break
            is_kept[near] = False
            areas[i] += areas[near].sum()
            boxes[i, :2] = np.minimum(boxes[i, :2], boxes[near, :2].min(axis=0))
            boxes[i, 2:] = np.maximum(boxes[i, 2:], boxes[near, 2:].max(axis=0))
        is_kept[i] = True
    return [Box(*box) for box in boxes[is_kept].tolist()]


def _runs(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, first column and the column after the last of each unbroken run of a row, in reading order."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    return rows, starts, np.nonzero(steps == -1)[1]


def _measure(
    labels: NDArray[np.int64], rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> list[Piece]:
    names, places = np.unique(labels, return_inverse=True)
    far = np.iinfo(np.int64).max
    left, top = np.full(len(names), far), np.full(len(names), far)
    right, bottom, area = (np.zeros(len(names), dtype=np.int64) for _ in range(3))
    np.minimum.at(left, places, starts)
    np.minimum.at(top, places, rows)
    np.maximum.at(right, places, ends)
    np.maximum.at(bottom, places, rows + 1)
    np.add.at(area, places, ends - starts)
    columns = (left.tolist(), top.tolist(), right.tolist(), bottom.tolist(), area.tolist())
    return [Piece(Box(*box), pixels) for *box, pixels in zip(*columns, strict=True)]


def _overlap(boxes: NDArray[np.int64], box: Box, margin: int) -> Mask:
    """Which of `boxes` (N, 4) share a pixel with a box that is larger by a margin on each side."""
    return (
        (boxes[:, 0] < box.right + margin)
        & (boxes[:, 2] > box.left - margin)
        & (boxes[:, 1] < box.bottom + margin)
        & (boxes[:, 3] > box.top - margin)
    )
