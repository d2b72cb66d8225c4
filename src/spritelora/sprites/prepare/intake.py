"""Which images of a folder are taken, whole or cut by which grid, and which are left out and why."""

import dataclasses
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from spritelora import limits
from spritelora.errors import ConfigError, DatasetError
from spritelora.sprites.ase.pillow_file import SUFFIXES as ASE_SUFFIXES
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.majority import match_names
from spritelora.sprites.folder.sources import Found, Source
from spritelora.sprites.grids.cell_grid import grid_cells, ground_colour
from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout
from spritelora.sprites.names import printable, some_of
from spritelora.sprites.pixels.edges import pack_colours
from spritelora.sprites.pixels.image import Pixels, open_image, read_sprite
from spritelora.sprites.prepare.include import Included, include_entry, match_include
from spritelora.sprites.prepare.pack_files import SheetCells, pictures_of_pack, same_cells
from spritelora.sprites.recent import Recent
from spritelora.sprites.sheets.frames import count_frames
from spritelora.sprites.sheets.grid_texts import find_layouts
from spritelora.sprites.sheets.sheet import cut_image
from spritelora.sprites.sheets.sheet_index import find_frame_lists, find_indexes
from spritelora.sprites.sheets.sheet_plan import Doubt, SheetPlan, plan_sheets

MOST_NAMED = 3
KEPT_BYTES = 256 * 1024 * 1024
UNREAD_KINDS = ("unread_index", "unread_text")


KINDS = {
    "excluded": ("image that exclude names", "images that exclude names"),
    "picture_of_pack": ("picture of the pack", "pictures of the pack"),
    "sheet_of_singles": ("sheet of what lies there as single files", "sheets of what lies there as single files"),
    "second_sheet": ("sheet with the cells of another sheet", "sheets with the cells of another sheet"),
    "doubtful_sheet": ("sheet whose cells are not sure", "sheets whose cells are not sure"),
    "set_aside": ("sprite far larger than most", "sprites far larger than most"),
}
"""What images are that are left out, one of them and several, by kind."""


@dataclass(frozen=True)
class LeftOut:
    """Images that are not taken, all for one reason. `kind`: see `KINDS`. `doubts`: those that may be sheets."""

    kind: str
    names: tuple[str, ...]
    doubts: tuple[Doubt, ...] = ()

    @property
    def reason(self) -> str:
        """What they are, in words."""
        return KINDS[self.kind][len(self.names) != 1]

    def remedy(self, name: str) -> str:
        """The words to type for one of them; empty for what was left out as asked."""
        return "" if self.kind == "excluded" else f"'include=[{include_entry(name)}]' takes it"


@dataclass(frozen=True)
class Intake:
    """The images that are taken, those that are not, and the names of those that were asked for."""

    found: Found
    left_out: tuple[LeftOut, ...] = ()
    included: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SheetChoice:
    """The wishes for images and sheets, as typed.

    `layout`: a grid for all that it divides; `is_auto`: others are judged. `excluded`: names and patterns.
    """

    is_auto: bool = True
    layout: SheetLayout | None = None
    included: tuple[Included, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass
class _Images:
    """The images of a folder that may be sheets: files, sizes of those that can be judged, and those that move."""

    files: dict[str, Path]
    sizes: dict[str, Pair] = field(default_factory=dict[str, Pair])
    animated: list[str] = field(default_factory=list[str])
    _read: Recent[Pixels] = field(default_factory=lambda: Recent[Pixels](KEPT_BYTES, lambda pixels: pixels.nbytes))

    def __post_init__(self) -> None:
        for name, file in self.files.items():
            with suppress(DatasetError, OSError):  # said when the file is surveyed
                if count_frames(file) > 1:
                    self.animated.append(name)
                    continue
                with open_image(file, limits.JUDGED_PIXELS) as image:
                    self.sizes[name] = image.size

    def read(self, name: str) -> Pixels:
        """An image by its name; the latest ones are kept, for an image is looked at several times."""
        return self._read.get(name, lambda: read_sprite(self.files[name], limits.SHEET_PIXELS))


def take_in(folder: Path, found: Found, choice: SheetChoice) -> Intake:
    """Decide what each image of a folder is. Raises ConfigError for entries of include and exclude that mean no image.

    An image that a person has captioned, or that prepare wrote, is a sprite, whatever it looks like. A file of
    Aseprite's own tells its parts itself.
    """
    found = _with_indexes(folder, found)
    entries = match_include(choice.included, [source.name for source in found.sources], "include")
    found, excluded = _without_excluded(found, choice.excluded, entries.keys())
    open_ones = {s.name: s.file for s in found.sources if s.index is None and s.name not in entries}
    typed, not_cut = _typed(open_ones, choice.layout)
    layouts = {name: entry.layout for name, entry in entries.items() if entry.layout is not None} | typed
    left_out = excluded
    if choice.is_auto:
        own_parts = {s.name for s in found.sources if s.file.suffix.lower() in ASE_SUFFIXES}
        judged = {s.name for s in found.sources if s.caption is None and s.name not in {*found.prepared, *own_parts}}
        images = _Images({name: file for name, file in open_ones.items() if name in judged and name not in typed})
        found = _with_lists(folder, found, images)
        told = find_layouts(folder, found.files, images.sizes)
        plan = plan_sheets(images.sizes, {name: layout for name, (layout, _) in told.items()}, images.read)
        layouts |= plan.layouts
        sources = [dataclasses.replace(s, layout=layouts.get(s.name)) for s in found.sources]
        found = _without_texts(folder, found, {text for _, texts in told.values() for text in texts})
        left_out += _left_out([s for s in sources if s.name in judged - typed.keys()], images, plan, set(entries))
    sources = [dataclasses.replace(s, layout=layouts.get(s.name)) for s in found.sources]
    gone = {name for kind in left_out for name in kind.names}
    findings = [*found.problems, *not_cut, *_findings(left_out)]
    found = dataclasses.replace(found, sources=[s for s in sources if s.name not in gone], problems=findings)
    return Intake(found, left_out, frozenset(entries))


def _without_excluded(found: Found, patterns: Sequence[str], included: Set[str]) -> tuple[Found, tuple[LeftOut, ...]]:
    """The same images without those that are excluded, and those. Raises ConfigError for one that is included too."""
    excluded = match_names(patterns, [source.name for source in found.sources], "exclude")
    if both := included & {*excluded}:
        raise ConfigError(f"include and exclude both name {printable(min(both))}: leave it out of one of them")
    if not excluded:
        return found, ()
    kept = [source for source in found.sources if source.name not in {*excluded}]
    return dataclasses.replace(found, sources=kept), (LeftOut("excluded", tuple(excluded)),)


def _without_texts(folder: Path, found: Found, texts: Set[Path]) -> Found:
    """The same findings, but for those of files that are said to be unread and tell the grid of a sheet: `texts`."""
    read = {printable(file.relative_to(folder).as_posix()) for file in texts}
    kept = [
        p
        for p in found.problems
        if p.kind not in UNREAD_KINDS or not any(n in (p.file, p.message.split(" ")[0]) for n in read)
    ]
    return dataclasses.replace(found, problems=kept)


def _with_indexes(folder: Path, found: Found) -> Found:
    """The same images with the data files of those that are sheets."""
    images = [source.name for source in found.sources if source.file.suffix.lower() not in ASE_SUFFIXES]
    indexes = find_indexes(folder, found.files, images)
    sources = [dataclasses.replace(source, index=indexes.files.get(source.name)) for source in found.sources]
    return dataclasses.replace(found, sources=sources, problems=[*found.problems, *indexes.findings])


def _with_lists(folder: Path, found: Found, images: _Images) -> Found:
    """The same images with the lists of frames that lie beside some; those are judged no more."""
    lists = find_frame_lists(folder, found.files, images.sizes)
    for name in lists:
        del images.sizes[name]
    sources = [dataclasses.replace(s, index=lists.get(s.name, s.index)) for s in found.sources]
    return dataclasses.replace(found, sources=sources)


def _typed(files: Mapping[str, Path], layout: SheetLayout | None) -> tuple[dict[str, SheetLayout], list[Finding]]:
    """The layout that was typed, for each image that it divides, and a line for those that it does not."""
    if layout is None:
        return {}, []
    if layout.cell is None:
        return dict.fromkeys(files, layout), []
    cut: dict[str, SheetLayout] = {}
    rest: list[str] = []
    for name, file in files.items():
        with suppress(DatasetError, OSError):  # said when the file is surveyed
            try:
                grid_cells(read_sprite(file, limits.SHEET_PIXELS), layout)
                cut[name] = layout
            except ValueError as error:
                rest.append(f"{printable(name)} ({error})")
    if not rest or not cut:
        return (cut, []) if cut else (dict.fromkeys(files, layout), [])
    text = f"{len(rest)} of {len(files)} images are not cut by {layout.typed}: {some_of(rest, MOST_NAMED)}"
    return cut, [Finding("not_cut", Severity.warning, "", text)]


def _left_out(sources: Sequence[Source], images: _Images, plan: SheetPlan, included: Set[str]) -> tuple[LeftOut, ...]:
    """What is no sprite among images that nobody captioned, by kind."""
    open_ones = [source for source in sources if source.name not in included]
    sizes = {s.name: images.sizes[s.name] for s in open_ones if s.name in images.sizes and s.layout is None}
    pictures = pictures_of_pack(sizes, images.animated, plan.typical)
    doubts = tuple(doubt for doubt in plan.doubts if doubt.name not in pictures)
    sheets = [_cells_of(s) for s in open_ones if s.layout is not None or s.index is not None]
    doubtful = {doubt.name for doubt in plan.doubts}
    singles = [name for name in sizes if name not in doubtful and name not in pictures]
    in_files, second = same_cells([s for s in sheets if s], singles, images.read)
    kinds = (
        LeftOut("picture_of_pack", tuple(pictures)),
        LeftOut("sheet_of_singles", tuple(in_files)),
        LeftOut("second_sheet", tuple(second)),
        LeftOut("doubtful_sheet", tuple(d.name for d in doubts), doubts),
    )
    return tuple(kind for kind in kinds if kind.names)


def _cells_of(source: Source) -> SheetCells | None:
    """The cells of a sheet, None where it cannot be cut."""
    try:
        cuts = cut_image(source.file, source.layout, all_frames=False, index=source.index)
        packed = pack_colours(read_sprite(source.file, limits.SHEET_PIXELS))
    except (DatasetError, OSError):  # said when the file is surveyed
        return None
    ground = ground_colour(packed, source.layout) if source.layout else 0
    return SheetCells(source.name, [_without(cut.pixels, ground) for cut in cuts], ground == 0)


def _without(pixels: Pixels, ground: int) -> Pixels:
    return pixels * (pack_colours(pixels) != ground)[..., None]


def _findings(left_out: Sequence[LeftOut]) -> list[Finding]:
    """One line for each kind that is left out; one for each image whose cells are in doubt."""
    findings: list[Finding] = []
    for kind in left_out:
        if kind.doubts:
            findings += [Finding(kind.kind, Severity.warning, doubt.name, doubt_text(doubt)) for doubt in kind.doubts]
        else:
            remedy = kind.remedy(kind.names[0])
            told = f"left out: {kind.reason}: {some_of(kind.names, MOST_NAMED)}"
            severity = Severity.warning if remedy else Severity.note
            findings.append(Finding(kind.kind, severity, "", f"{told}; {remedy}" if remedy else told))
    return findings


def doubt_text(doubt: Doubt) -> str:
    """What is said of an image that may be a sheet: its guesses, each as it is typed."""
    guesses = " or ".join(f"'include=[{include_entry(doubt.name, layout)}]'" for layout in doubt.guesses)
    width, height = doubt.size
    return (
        f"{width}x{height} px, left out, for it seems to be a sheet and its cells are not sure; {guesses} cuts it, "
        f"'include=[{include_entry(doubt.name)}]' takes it as one sprite"
    )
