"""Which images of a pack are no sprites: pictures of it, and sheets that hold what other files hold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spritelora.sprites.captions.name_words import PICTURE_WORDS, split_words
from spritelora.sprites.grids.sheet_layout import Pair
from spritelora.sprites.pixels.edges import pack_colours
from spritelora.sprites.pixels.image import Pixels

FAR_LARGER = 4
"""An image of so many times the area of a single sprite, and called a preview, is a picture of the pack."""

SAME_SHARE = 0.9
FEWEST_CELLS = 4


@dataclass(frozen=True)
class SheetCells:
    """The sprites that are cut from one sheet. `is_clear`: their background is transparent in the file."""

    name: str
    cells: Sequence[Pixels]
    is_clear: bool


def pictures_of_pack(sizes: Mapping[str, Pair], animated: Iterable[str], typical: Pair | None) -> list[str]:
    """The images that are called a preview, a sample or the like, and are large beside the sprites, or move.

    `sizes`: of still images, by name. `typical`: the size of most sprites, None where they have none in common.
    """
    usual = typical[0] * typical[1] if typical else 0
    large = [name for name, (width, height) in sizes.items() if width * height >= FAR_LARGER * usual]
    return sorted(name for name in [*large, *animated] if _is_called_picture(name))


def same_cells(
    sheets: Sequence[SheetCells], singles: Iterable[str], read: Callable[[str], Pixels]
) -> tuple[list[str], list[str]]:
    """The sheets whose cells lie in the folder as single files, and those whose cells are another sheet's too.

    Of sheets with the same cells the one on a transparent background is kept, or the one with most.
    """
    contents = {sheet.name: {_content(cell) for cell in sheet.cells} for sheet in sheets}
    files = {_content(read(name)) for name in singles} if sheets else set[bytes]()
    in_files = [sheet.name for sheet in sheets if _is_within(contents[sheet.name], files)]
    others = [sheet for sheet in sheets if sheet.name not in in_files]
    kept: list[set[bytes]] = []
    second: list[str] = []
    for sheet in sorted(others, key=lambda s: (not s.is_clear, -len(s.cells), s.name)):
        if any(_is_within(contents[sheet.name], cells) for cells in kept):
            second.append(sheet.name)
        else:
            kept.append(contents[sheet.name])
    return in_files, sorted(second)


def _is_called_picture(name: str) -> bool:
    words = {word.rstrip("0123456789") for word in split_words(name.rsplit("/", 1)[-1].rsplit(".", 1)[0])}
    return not words.isdisjoint(PICTURE_WORDS)


def _is_within(cells: set[bytes], others: set[bytes]) -> bool:
    return len(cells) >= FEWEST_CELLS and len(cells & others) >= SAME_SHARE * len(cells)


def _content(pixels: Pixels) -> bytes:
    """What a sprite shows, without transparent rows and columns around it."""
    packed = pack_colours(pixels)
    if not packed.any():
        return b""
    ys, xs = np.flatnonzero(packed.any(axis=1)), np.flatnonzero(packed.any(axis=0))
    part = packed[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    return repr(part.shape).encode() + part.tobytes()
