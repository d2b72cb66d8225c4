"""The image files of a folder with what stands beside them: captions, repeats, groups."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from spritelora.errors import DatasetError
from spritelora.shown import counted
from spritelora.sprites.ase.pillow_file import SUFFIXES as ASE_SUFFIXES
from spritelora.sprites.captions.caption_owners import CAPTION_SUFFIXES, composed, find_owners
from spritelora.sprites.captions.sidecars import (
    METADATA_FILES,
    differing,
    metadata_captions,
    read_side_captions,
)
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.groups import group_names
from spritelora.sprites.folder.prepared import Prepared, find_prepared
from spritelora.sprites.folder.unread_captions import find_unread
from spritelora.sprites.folder.walk import IMAGE_SUFFIXES, UNREAD_SUFFIXES, walk_folder
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import disguise_of

__all__ = ["IMAGE_SUFFIXES", "Found", "Source", "as_line", "find_sources", "refuse", "survey_folder"]

MAX_LISTED = 10
MAX_REPEATS = 1000
KOHYA_FOLDER = re.compile(r"(0|[1-9]\d*)_(.+)", re.DOTALL)
"""A leading zero counts folders (`01_knights`), it does not repeat them."""


@dataclass(frozen=True)
class Source:
    """An image file as found, not yet opened.

    `name`: path below the folder. `caption`: None where there is none. `repeats`: how often an epoch shows it.
    `group`: what belongs together (a character, a sheet, a folder), for splits that must not separate it.
    `class_words`: what a kohya folder's name says its images show; empty elsewhere. `text_file`: the `.txt` file that
    holds the caption. `unread`: path of a file that seems to hold the caption and is not read, else empty. `index`: the
    data file of a sheet, where it was looked for (see `find_indexes`); `layout`: its grid, None for one whole sprite.
    """

    file: Path
    name: str
    caption: str | None
    repeats: int
    group: str
    class_words: str = ""
    text_file: Path | None = None
    unread: str = ""
    index: Path | None = None
    layout: SheetLayout | None = None


@dataclass(frozen=True)
class Found:
    """The usable images of a folder, sorted by name, and all findings about it; an image with an error is left out.

    `prepared`: those that prepare wrote, by name. `files`: all that lie there. `to_mend`: images left out for nothing
    but a `.txt` file of theirs that cannot be read as a caption.
    """

    sources: list[Source]
    problems: list[Finding]
    prepared: Mapping[str, Prepared] = field(default_factory=dict[str, Prepared])
    files: list[Path] = field(default_factory=list[Path])
    to_mend: list[Source] = field(default_factory=list[Source])

    @property
    def errors(self) -> list[Finding]:
        """The findings that keep an image out."""
        return [p for p in self.problems if p.severity is Severity.error]


def refuse_empty(folder: Path, found: Found, remedy: str) -> None:
    """Raise DatasetError where a folder holds no image at all, with what it holds instead; `remedy` ends its line."""
    if not found.sources and not found.errors:
        instead = "".join(f"\n  {as_line(p)}" for p in found.problems[:MAX_LISTED])
        raise DatasetError(f"{printable(folder)}: no images found{remedy}{instead}")


def find_sources(folder: Path, remedy: str = "") -> list[Source]:
    """All image files below a folder, sorted by name; hidden ones are left out.

    Raises DatasetError that names every problem `survey_folder` counts as an error, or that there is no image: then
    `remedy` says what to do.
    """
    found = survey_folder(folder)
    refuse(folder, [as_line(p) for p in found.errors])
    refuse_empty(folder, found, remedy)
    return found.sources


def as_line(finding: Finding) -> str:
    """A finding as a message prints it."""
    return f"{printable(finding.file)}: {finding.message}" if finding.file else finding.message


def refuse(folder: Path, problems: Sequence[str]) -> None:
    """Raise DatasetError that lists problems, unless there are none."""
    if problems:
        more = [f"... and {len(problems) - MAX_LISTED} more"] if len(problems) > MAX_LISTED else []
        listed = "\n  ".join([*problems[:MAX_LISTED], *more])
        raise DatasetError(f"{printable(folder)}: {counted(len(problems), 'problem')} found\n  {listed}")


def survey_folder(folder: Path) -> Found:
    """Reads the images and captions of a folder, good and bad.

    Captions come from `.txt`, `.caption`, `metadata.jsonl` and `metadata.csv`, in this order; files that seem to hold
    others are named. Folders named `10_knight` repeat their images 10 times. Raises DatasetError where there is no such
    folder.
    """
    if not folder.is_dir():
        raise DatasetError(f"{printable(folder)}: no such folder; name a folder of images")
    walked = walk_folder(folder)
    images = {f.relative_to(folder).as_posix(): f for f in walked.files if f.suffix.lower() in IMAGE_SUFFIXES}
    exported = _exported(images)
    images = {name: file for name, file in images.items() if name not in exported}
    prepared = find_prepared(folder, walked.files, set(images))
    tables, table_problems = _read_tables(folder, walked.files, images.keys() | prepared.gone)
    owned = _owned_texts(folder, walked.files, images)
    captions, caption_problems = _read_captions(images, owned, tables, prepared.images)
    texts = [text.relative_to(folder).as_posix() for of_image in owned.values() for text in of_image]
    unread, unread_problems = find_unread(folder, walked.files, [n for n in images if n not in captions], texts)
    problems = [
        *walked.problems,
        *_unread(walked.files),
        *(Finding("exported", Severity.note, name, message) for name, message in exported.items()),
        *_repeat_problems(images),
        *_stem_problems(images),
        *table_problems,
        *caption_problems,
        *unread_problems,
        *_disguises(images),
    ]
    bad = {p.file for p in problems if p.severity is Severity.error}
    good = [n for n in images if n not in bad and not any(str(parent) in bad for parent in PurePosixPath(n).parents)]
    groups = group_names([_origin(name, prepared.images) for name in good])
    sources = [
        _source(images[n], n, captions.get(n), group, owned.get(n, ()), unread.get(n, ""))
        for n, group in zip(good, groups, strict=True)
    ]
    to_mend = [_to_mend(images[n], n, owned[n]) for n in _only_captions(problems) if n in images and n in owned]
    mendable = [source for source in to_mend if source.text_file is not None]
    return Found(sources, [*problems, *prepared.findings], prepared.images, walked.files, mendable)


def _only_captions(problems: Iterable[Finding]) -> list[str]:
    """The files whose errors are of their captions alone."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for problem in problems:
        if problem.severity is Severity.error:
            kinds[problem.file].add(problem.kind)
    return [file for file, found in kinds.items() if found == {"caption"}]


def _to_mend(file: Path, name: str, texts: Sequence[Path]) -> Source:
    """An image with a text file that is no caption."""
    return _source(file, name, None, name, texts, "")


def _origin(name: str, prepared: Mapping[str, Prepared]) -> str:
    """The image that an image was cut from, which decides its group; itself where it was not prepared."""
    record = prepared[name].record if name in prepared else None
    return (record and (record.group or record.source)) or name


def _source(file: Path, name: str, caption: str | None, group: str, texts: Sequence[Path], unread: str) -> Source:
    repeats, class_words = _kohya(name)
    text_file = texts[0] if texts and texts[0].suffix.lower() == CAPTION_SUFFIXES[0] else None
    return Source(file, name, caption, repeats, group, class_words, text_file, unread)


def _kohya(name: str) -> tuple[int, str]:
    """Repeats and class words by the innermost folder that kohya would read: 1 and none where there is none."""
    for part in reversed(PurePosixPath(name).parent.parts):
        match = KOHYA_FOLDER.fullmatch(part)
        if match:
            return int(match[1][:9]), " ".join(match[2].replace("_", " ").split())
    return 1, ""


def _repeat_problems(images: Iterable[str]) -> list[Finding]:
    counts = {name: _kohya(name)[0] for name in images}
    return [
        Finding(
            "repeats",
            Severity.error,
            name,
            f"its folder asks for {count:,} repeats, 1 to {MAX_REPEATS:,} can be had; rename the folder",
        )
        for name, count in counts.items()
        if not 1 <= count <= MAX_REPEATS
    ]


def _stem_problems(images: Iterable[str]) -> list[Finding]:
    stems: dict[str, list[str]] = defaultdict(list)
    for name in images:
        stems[_bare(name)].append(name)
    return [
        Finding(
            "stem",
            Severity.error,
            name,
            f"{len(names)} images of this name would share one caption "
            f"({', '.join(printable(PurePosixPath(n).name) for n in names)}); rename all but one",
        )
        for names in stems.values()
        if len(names) > 1
        for name in names
    ]


def _exported(images: Iterable[str]) -> dict[str, str]:
    """Aseprite files with an image of the same name beside them, which was exported from them and is read instead."""
    stems = {_bare(name): name for name in images if PurePosixPath(name).suffix.lower() not in ASE_SUFFIXES}
    return {
        name: f"passed over: {printable(PurePosixPath(stems[stem]).name)} beside it is read; remove that to read this"
        for name in images
        if PurePosixPath(name).suffix.lower() in ASE_SUFFIXES and (stem := _bare(name)) in stems
    }


def _bare(name: str) -> str:
    """A path without its suffix, in one form of Unicode."""
    return str(PurePosixPath(composed(name)).with_suffix(""))


def _unread(files: Iterable[Path]) -> list[Finding]:
    counts = Counter(f.suffix.lower() for f in files if f.suffix.lower() in UNREAD_SUFFIXES)
    kinds = ", ".join(f"{n} {suffix}" for suffix, n in sorted(counts.items()))
    return [Finding("unread", Severity.warning, "", f"{kinds} not read; export as PNG")] if counts else []


def _disguises(images: dict[str, Path]) -> list[Finding]:
    found = {name: disguise_of(file) for name, file in images.items()}
    return [
        Finding(
            "disguised",
            Severity.warning,
            name,
            f"is a {true} file by its content and is read as one; "
            + ("JPEG artefacts may be in it" if true == "JPEG" else "name it so"),
        )
        for name, true in found.items()
        if true is not None
    ]


Tables = list[tuple[str, dict[str, str]]]


def _read_tables(folder: Path, files: Iterable[Path], images: set[str]) -> tuple[Tables, list[Finding]]:
    tables: Tables = []
    problems: list[Finding] = []
    for file in files:
        if file.name.lower() in METADATA_FILES:
            captions, found = metadata_captions(folder, file, images)
            tables.append((file.relative_to(folder).as_posix(), captions))
            problems.extend(found)
    return sorted(tables, key=lambda t: METADATA_FILES.index(PurePosixPath(t[0]).name.lower())), problems


def _owned_texts(folder: Path, files: Iterable[Path], images: Iterable[str]) -> dict[str, list[Path]]:
    """The `.txt` and `.caption` files of each image that has any, the one that counts first."""
    texts = {f.relative_to(folder).as_posix(): f for f in files if f.suffix.lower() in CAPTION_SUFFIXES}
    return {image: [texts[t] for t in owned] for image, owned in find_owners(images, texts).items()}


def _read_captions(
    images: Iterable[str],
    owned: Mapping[str, Sequence[Path]],
    tables: Tables,
    prepared: Mapping[str, Prepared],
) -> tuple[dict[str, str], list[Finding]]:
    captions: dict[str, str] = {}
    problems: list[Finding] = []
    for name in images:
        try:
            given = [(file.name, text) for file, text in read_side_captions(owned.get(name, ()))]
        except ValueError as error:
            problems.append(Finding("caption", Severity.error, name, str(error)))
            continue
        given += [(table, texts[name]) for table, texts in tables if name in texts]
        if given:
            captions[name] = given[0][1]
            written = prepared[name].record.caption if name in prepared else None
            # What prepare wrote into its table is no second opinion: the caption beside the image was edited since.
            message = differing([given[0], *(g for g in given[1:] if g[1] != written)])
            if message:
                problems.append(Finding("caption", Severity.warning, name, message))
    return captions, problems
