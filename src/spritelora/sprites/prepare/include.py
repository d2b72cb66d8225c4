"""What a user types to have images that would be left out: names or patterns, each with a grid or whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spritelora.sprites.folder.majority import match_names
from spritelora.sprites.grids.sheet_layout import SheetLayout, both_axes

GRID = re.compile(
    r"(?P<name>.+):(?:(?P<gaps>gaps)|(?P<w>[1-9]\d{0,4})x(?P<h>[1-9]\d{0,4})(?:m(?P<m>\d{1,4}))?(?:s(?P<s>\d{1,4}))?)"
)


@dataclass(frozen=True)
class Included:
    """An entry of `include`: images by name or pattern, and the grid to cut them by, None to take them whole."""

    pattern: str
    layout: SheetLayout | None = None


def parse_include(entries: Sequence[str]) -> list[Included]:
    """Entries such as `Preview.png`, `Bosses/*` or `sheet.png:16x16s1` (a spacing of 1, `m` a margin), `a.png:gaps`."""
    included: list[Included] = []
    for entry in entries:
        match = GRID.fullmatch(entry)
        if match is None:
            included.append(Included(entry))
        elif match["gaps"]:
            included.append(Included(match["name"], SheetLayout(None)))
        else:
            cell = int(match["w"]), int(match["h"])
            included.append(Included(match["name"], SheetLayout(cell, int(match["m"] or 0), int(match["s"] or 0))))
    return included


def include_entry(name: str, layout: SheetLayout | None = None) -> str:
    """The entry that takes an image whole, or cut by a grid."""
    if layout is None:
        return name
    if layout.cell is None:
        return f"{name}:gaps"
    (margin, _), (spacing, _) = both_axes(layout.margin), both_axes(layout.spacing)
    more = f"{f'm{margin}' if margin else ''}{f's{spacing}' if spacing else ''}"
    return f"{name}:{layout.cell[0]}x{layout.cell[1]}{more}"


def match_include(included: Sequence[Included], images: Sequence[str], key: str) -> dict[str, Included]:
    """The entry of each image that one means, the last of several. Raises ConfigError for entries that mean none."""
    match_names([entry.pattern for entry in included], images, key)
    return {name: entry for entry in included for name in match_names([entry.pattern], images, key)}
