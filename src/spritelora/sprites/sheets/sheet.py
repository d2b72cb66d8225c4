"""Sprites within one image file: cells of a sheet, frames of an animation."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.sprites.ase.pillow_file import SUFFIXES as ASE_SUFFIXES
from spritelora.sprites.grids.cell_grid import filled_cells, find_cells, grid_cells, is_flat
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels, read_sprite, without_hidden_colour
from spritelora.sprites.sheets.ase_cuts import cut_document
from spritelora.sprites.sheets.frames import count_frames, read_frames
from spritelora.sprites.sheets.sheet_data import cut_frames, name_frames
from spritelora.sprites.sheets.sheet_index import read_index
from spritelora.sprites.sheets.sheet_views import find_views

__all__ = ["Cut", "SheetLayout", "cut_image", "find_duplicates", "parse_cell"]


@dataclass(frozen=True)
class Cut:
    """One sprite of an image file.

    `tag`: what tells it from its siblings, empty for a whole image. `pixels`: RGBA, (H, W, 4). `words`: for its
    caption, from the names of tags and frames, and the view where a sheet's own cells tell it.
    """

    tag: str
    pixels: Pixels
    words: tuple[str, ...]


def parse_cell(text: str) -> tuple[int, int]:
    """A cell written `32x32`, width first. Raises ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    if not match:
        raise ValueError(f"a cell is written WIDTHxHEIGHT in pixels, such as 32x32, got '{printable(text)}'")
    cell = int(match[1]), int(match[2])
    if not 1 <= min(cell) <= max(cell) <= limits.SIDE_PX.most:
        raise ValueError(f"a cell has sides of 1 to {limits.SIDE_PX.most:,} px, got '{printable(text)}'")
    return cell


def cut_image(file: Path, layout: SheetLayout | None, all_frames: bool, index: Path | None = None) -> list[Cut]:
    """The sprites of an image file: the frames its data file names, else the cells of `layout`, else animation frames.

    `index`: its data file (see `find_indexes`), which goes before `layout`, for it knows each frame. An animated file
    is no sheet: its first frame is taken, or all with `all_frames`; slices of an Aseprite file are cut out, unless a
    layout is given. Cells, slices and named frames that are empty (transparent or of one colour) are left out; the
    others keep their numbers. Raises DatasetError as `read_sprite`, and where sheet and layout do not fit.
    """
    data = read_index(index, file.name) if index else None
    try:
        if data is not None:
            names, frames = name_frames(data, file.stem), cut_frames(read_sprite(file, limits.SHEET_PIXELS), data)
            return _without_empty(Cut(tag, pixels, words) for (tag, words), pixels in zip(names, frames, strict=True))
        is_layered = layout is None and file.suffix.lower() in ASE_SUFFIXES
        if is_layered and (parts := cut_document(file, all_frames)):
            cuts = [Cut(part.tag, part.pixels, part.words) for part in parts]
            return cuts if len(cuts) == 1 else _without_empty(iter(cuts))
        if layout is None and not all_frames:
            return [Cut("", read_sprite(file), ())]
        num_frames = count_frames(file)
        if num_frames > 1:
            frames = read_frames(file) if all_frames else [read_sprite(file)]
            return [Cut(str(i) if len(frames) > 1 else "", frame, ()) for i, frame in enumerate(frames)]
        if layout is None:
            return [Cut("", read_sprite(file), ())]
        return _cut_cells(read_sprite(file, limits.SHEET_PIXELS), layout)
    except ValueError as error:
        beside = index if index and data is not None else file
        raise DatasetError(f"{printable(beside)}: {printable(error)}") from error


def find_duplicates(cuts: Sequence[Cut]) -> list[list[int]]:
    """The places of cuts that show the same, a list for each picture; colour under alpha 0 does not count.

    Every list has two places or more, in order.
    """
    seen: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    for place, cut in enumerate(cuts):
        key = cut.pixels.shape, without_hidden_colour(cut.pixels).tobytes()
        seen.setdefault(key, []).append(place)
    return [places for places in seen.values() if len(places) > 1]


def _cut_cells(sheet: Pixels, layout: SheetLayout) -> list[Cut]:
    views: dict[tuple[int, int], str] = {}
    if layout.cell is None:
        cells = [cell for cell in find_cells(sheet) if not is_flat(cell.cut(sheet))]
    else:
        cells = grid_cells(sheet, layout)
        views = find_views(sheet, layout, cells)
        cells = filled_cells(sheet, layout) if len(cells) > 1 else cells
    if len(cells) == 1 and cells[0].box == (0, 0, sheet.shape[1], sheet.shape[0]):
        return [Cut("", sheet, ())]
    if not cells:
        raise ValueError("every cell is empty; name other cells or remove the file")
    words = {place: (view,) for place, view in views.items()}
    return [Cut(f"r{c.row}c{c.column}", c.cut(sheet).copy(), words.get((c.row, c.column), ())) for c in cells]


def _without_empty(cuts: Iterator[Cut]) -> list[Cut]:
    kept = [cut for cut in cuts if not is_flat(cut.pixels)]
    if not kept:
        raise ValueError("every cell is empty; name other cells or remove the file")
    return kept
