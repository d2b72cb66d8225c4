"""The grid of a sheet as a text beside it tells it: Tiled's `.tsx`, Kenney's texts of tile size and margin.

Source: Tiled's TMX map format (tileset: tilewidth, tileheight, spacing, margin; image: source); `Tilesheet.txt` and
`spritesheetInfo.txt` of kenney.nl, which call the space between tiles a margin or a spacing.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from spritelora import limits
from spritelora.sprites.captions.caption_owners import composed
from spritelora.sprites.captions.sidecars import read_text
from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout
from spritelora.sprites.sheets.atlas_xml import refuse_doctype
from spritelora.sprites.sheets.sheet_index import path_from

TILE_SIZE = re.compile(r"\b(?:tile|sprite|cell)s?\b[^\d\n]{0,40}(\d{1,4})\s*(?:px)?\s*[x×]\s*(\d{1,4})\s*(?:px)?")
BETWEEN = re.compile(
    r"\b(?:margin|spacing|space between tiles)\b[^\d\n]{0,40}(\d{1,3})|(\d{1,3})[ \t]*px[ \t]+(?:margin|spac)"
)
MOST_TEXT = limits.CAPTION_BYTES


def find_layouts(
    folder: Path, files: Iterable[Path], sizes: Mapping[str, Pair]
) -> dict[str, tuple[SheetLayout, tuple[Path, ...]]]:
    """The layout of each sheet that texts tell, with those texts. `sizes`: of the images, by path below `folder`.

    A text that names no image is about the images of its folder and of those below it that its grid divides.
    """
    told: dict[str, list[tuple[SheetLayout, Path]]] = defaultdict(list)
    known = {composed(name): name for name in sizes}
    for file in files:
        name = file.relative_to(folder).as_posix()
        if file.suffix.lower() == ".tsx":
            for layout, image in _read_tileset(file):
                if path := known.get(path_from(name, image)):
                    told[path].append((layout, file))
        elif file.suffix.lower() == ".txt":
            for layout in _read_tile_text(file):
                for image in _below(PurePosixPath(name).parent, sizes):
                    if divides(layout, sizes[image]):
                        told[image].append((layout, file))
    return {
        name: (found[0][0], tuple(file for _, file in found))
        for name, found in told.items()
        if len({layout for layout, _ in found}) == 1
    }


def divides(layout: SheetLayout, size: Pair) -> bool:
    """Whether a grid fills an image to the pixel, with at least two cells."""
    if layout.cell is None or not isinstance(layout.margin, int) or not isinstance(layout.spacing, int):
        return False
    margin, spacing = layout.margin, layout.spacing
    rest = [(n - 2 * margin + spacing) % (c + spacing) for n, c in zip(size, layout.cell, strict=True)]
    return rest == [0, 0] and size[0] * size[1] >= 2 * layout.cell[0] * layout.cell[1]


def _below(folder: PurePosixPath, images: Iterable[str]) -> list[str]:
    return [image for image in images if folder in PurePosixPath(image).parents]


def _read_tile_text(file: Path) -> Sequence[SheetLayout]:
    """The layouts that a text may mean; most of all, those that have a space between tiles and no margin around."""
    try:
        text = read_text(file, MOST_TEXT).lower()
    except ValueError:
        return ()
    spaces = {int(m[1] or m[2]) for m in BETWEEN.finditer(text)}
    sizes = {(int(m[1]), int(m[2])) for m in TILE_SIZE.finditer(re.sub(r"space between tiles.*", "", text))}
    if len(sizes) != 1 or len(spaces) > 1 or not all(1 <= n <= limits.SIDE_PX.most for n in next(iter(sizes))):
        return ()
    (cell,), space = sizes, next(iter(spaces), 0)
    return (SheetLayout(cell, 0, space),)


def _read_tileset(file: Path) -> list[tuple[SheetLayout, str]]:
    """The layout and the image of a tileset of Tiled; none for other XML, or for TypeScript, which ends in tsx too."""
    found: dict[str, Mapping[str, str]] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name in ("tileset", "image"):
            found.setdefault(name, attributes)

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(read_text(file, limits.INDEX_BYTES).encode(), True)
        tileset, source = found["tileset"], found["image"]["source"]
        width, height = int(tileset["tilewidth"]), int(tileset["tileheight"])
        margin, spacing = int(tileset.get("margin", "0")), int(tileset.get("spacing", "0"))
    except (expat.ExpatError, ValueError, KeyError):
        return []
    is_whole = min(width, height) >= 1 and max(width, height, margin, spacing) <= limits.SIDE_PX.most
    return [(SheetLayout((width, height), margin, spacing), source)] if is_whole and min(margin, spacing) >= 0 else []
