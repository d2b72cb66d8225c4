"""The first lines of a set's report: what the pack is, in a sentence and a picture, and what was left out of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spritelora.reports.page import Picture, encode_picture, shown_size
from spritelora.sprites.grids.cell_grid import grid_boxes
from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout
from spritelora.sprites.pixels.image import Pixels

MOST_PICTURED = 60
OVERVIEW_PX = 720
LEFT_OUT_PX = 224
MOST_SIZES = 2
LINE_COLOUR = (255, 0, 160, 255)


@dataclass(frozen=True)
class LeftOutImage:
    """An image that is not in the set: its picture, None where it cannot be read, and what is said of it."""

    name: str
    picture: Picture | None
    text: str = ""


@dataclass(frozen=True)
class LeftOutKind:
    """Images that are left out for one reason; `number` of them, those that are shown."""

    reason: str
    number: int
    images: Sequence[LeftOutImage]


@dataclass(frozen=True)
class PackPart:
    """What a page says of a pack first."""

    sentence: str
    overview: Picture | None = None
    left_out: Sequence[LeftOutKind] = ()


def pack_sentence(sizes: Sequence[Pair], left_out: Sequence[tuple[int, str]], num_nameless: int) -> str:
    """A pack in a sentence: `132 sprites of 16 px; left out: 2 pictures of the pack; no subject in the names: 132`.

    `sizes`: of all sprites. `left_out`: how many images, and what they are.
    """
    parts = [f"{len(sizes):,} {'sprite' if len(sizes) == 1 else 'sprites'}{_sizes_text(sizes)}"]
    if left_out:
        parts.append("left out: " + ", ".join(f"{number:,} {reason}" for number, reason in left_out))
    if num_nameless:
        parts.append(f"no subject in the names: {num_nameless:,}")
    return "; ".join(parts)


def overview_picture(sprites: Sequence[Pixels]) -> Picture | None:
    """Up to `MOST_PICTURED` sprites of a set, from all of its parts, beside one another."""
    if not sprites:
        return None
    places = np.linspace(0, len(sprites) - 1, min(len(sprites), MOST_PICTURED)).round().astype(int)
    shown = [sprites[place] for place in dict.fromkeys(places.tolist())]
    width, height = (max(sprite.shape[axis] for sprite in shown) + 1 for axis in (1, 0))
    columns = max(1, min(len(shown), round((len(shown) * 2.5 * height / width) ** 0.5)))
    rows = -(-len(shown) // columns)
    board = np.zeros((rows * height, columns * width, 4), np.uint8)
    for place, sprite in enumerate(shown):
        y, x = (place // columns) * height, (place % columns) * width
        h, w = sprite.shape[:2]
        board[y + height - h : y + height, x + (width - w) // 2 : x + (width - w) // 2 + w] = sprite
    return Picture(encode_picture(board), *shown_size(board, OVERVIEW_PX), "sprites of the set")


def left_out_picture(pixels: Pixels, layout: SheetLayout | None) -> Picture:
    """An image that was left out; with lines around the cells of a grid, where one is given."""
    if layout is None or layout.cell is None:
        return Picture(encode_picture(pixels), *shown_size(pixels, LEFT_OUT_PX), "left out")
    scale = max(1, LEFT_OUT_PX // max(pixels.shape[:2]))
    drawn = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    for cell in grid_boxes((pixels.shape[1], pixels.shape[0]), layout):
        left, top, right, bottom = (edge * scale for edge in cell.box)
        drawn[top:bottom, [left, right - 1]] = LINE_COLOUR
        drawn[[top, bottom - 1], left:right] = LINE_COLOUR
    return Picture(encode_picture(drawn), drawn.shape[1], drawn.shape[0], f"cells of {layout.typed}")


def _sizes_text(sizes: Sequence[Pair]) -> str:
    counts = Counter(sizes)
    if not counts:
        return ""
    if len(counts) == 1:
        return f" of {_size(sizes[0])}"
    common = counts.most_common(MOST_SIZES)
    if len(counts) <= MOST_SIZES:
        return ": " + ", ".join(f"{number:,} of {_size(size)}" for size, number in common)
    least, most = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    return f", {common[0][1]:,} of them of {_size(common[0][0])}, the others from {_size(least)} to {_size(most)}"


def _size(size: Pair) -> str:
    return f"{size[0]} px" if size[0] == size[1] else f"{size[0]}x{size[1]} px"
