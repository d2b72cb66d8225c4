"""The data file of each sheet of a folder: of the sheet's name, or one that names it; those not read are named."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.sprites.captions.caption_owners import composed
from spritelora.sprites.captions.mentions import image_mentions
from spritelora.sprites.captions.sidecars import read_text
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import printable
from spritelora.sprites.sheets.aseprite import has_rectangles, parse_json
from spritelora.sprites.sheets.atlas_xml import ROOT, parse_atlas
from spritelora.sprites.sheets.frame_list import parse_frame_list
from spritelora.sprites.sheets.sheet_data import SheetData, SheetFrame

READ_SUFFIXES = (".json", ".xml")
LIST_SUFFIXES = ("", ".txt", ".list", ".lst")
UNREAD_SUFFIXES = {".atlas", ".fnt", ".meta", ".plist", ".tpsheet", ".tsx"}
"""Data files of other kinds, that place parts of a picture: libGDX, bitmap fonts, Unity, cocos2d, Tiled."""

UNITY_SPRITES = re.compile(r"^ *sprites: *\r?\n *- ", re.MULTILINE)
REMEDY = "export JSON (array or hash) from the same program, or name the cells, such as sheet=32x32"


@dataclass
class Indexes:
    """The data file of each sheet by the sheet's path below the set's folder, and what is to be said of data files."""

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    findings: list[Finding] = field(default_factory=list[Finding])


@dataclass(frozen=True)
class _Candidate:
    """A data file of a kind that is read.

    `images`: the paths that it names, below the set's folder. `problem`: why it cannot be read, else empty.
    """

    file: Path
    name: str
    images: frozenset[str]
    problem: str = ""


def read_index(file: Path, image: str) -> SheetData | None:
    """Reads a sheet's data file; None where it is of another kind or describes other sheets.

    `image`: the sheet's file name. Raises DatasetError that names the file for what is not well formed.
    """
    sheets = _read_sheets(file)
    if len(sheets) == 1:
        return sheets[0]
    named = {_last_part(sheet.image): sheet for sheet in sheets if sheet.image}
    return named.get(composed(image))


def find_indexes(folder: Path, files: Iterable[Path], images: Sequence[str]) -> Indexes:
    """The data file of each image that has one. `files`: all below `folder`; `images`: paths below it."""
    found = Indexes()
    readable = [f for f in files if f.suffix.lower() in READ_SUFFIXES]
    candidates = [c for f in readable if (c := _candidate(folder, f)) is not None]
    known = {composed(image): image for image in images}
    by_stem: dict[str, list[_Candidate]] = defaultdict(list)
    by_image: dict[str, list[_Candidate]] = defaultdict(list)
    stems = {_stem(image) for image in images}
    for candidate in candidates:
        by_stem[_stem(candidate.name)].append(candidate)
        if len(candidate.images) > 1 or _stem(candidate.name) not in stems:
            for image in candidate.images & known.keys():
                by_image[known[image]].append(candidate)
    for image in images:
        own = [c for c in by_stem[_stem(image)] if len(c.images) < 2 or composed(image) in c.images]
        _choose(image, own or by_image[image], found)
    read = {c.file for c in candidates if not c.problem}
    problems = {c.file: c.problem for c in candidates}
    unread = [f for f in files if f.suffix.lower() in (*READ_SUFFIXES, *UNREAD_SUFFIXES) and f not in read]
    found.findings += _unread(folder, {f: problems.get(f, "") for f in unread}, known, found)
    return found


def find_frame_lists(folder: Path, files: Iterable[Path], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Path]:
    """The list of frames of each image that has one: beside it, with all frames within it and within no other there.

    `sizes`: of the images without another data file, by path below `folder`.
    """
    found: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() in LIST_SUFFIXES or file.suffix[1:].isdigit():
            with suppress(DatasetError):
                sheets = _read_sheets(file) if file.stat().st_size <= limits.CAPTION_BYTES.most else []
                parent = file.parent.relative_to(folder)
                beside = [n for n in sizes if PurePosixPath(n).parent == PurePosixPath(parent.as_posix())]
                holding = [n for n in beside if sheets and all(map(partial(_lies_within, sizes[n]), sheets[0].frames))]
                found |= {holding[0]: file} if len(holding) == 1 else {}
    return found


def _lies_within(size: tuple[int, int], frame: SheetFrame) -> bool:
    return all(c + n <= s for c, n, s in zip(frame.corner, frame.size, size, strict=True))


def _choose(image: str, candidates: Sequence[_Candidate], found: Indexes) -> None:
    """Take the one data file of a sheet; JSON before XML of the same name, and none where several may be meant."""
    if not candidates:
        return
    names = [printable(c.name) for c in candidates]
    kinds = {c.file.suffix.lower() for c in candidates}
    if len(candidates) > len(kinds):
        message = f"{' and '.join(names)} describe it; keep one"
        found.findings.append(Finding("index", Severity.error, image, message))
        return
    taken, *others = sorted(candidates, key=lambda c: READ_SUFFIXES.index(c.file.suffix.lower()))
    found.files[image] = taken.file
    for other in others:
        message = f"{printable(other.name)} is not read beside {printable(taken.name)}"
        found.findings.append(Finding("unread_index", Severity.warning, image, message))
    with suppress(DatasetError):  # said when the sheet is cut
        data = read_index(taken.file, PurePosixPath(image).name)
        if data is not None and data.note:
            message = f"{printable(taken.name)}: tags are left off: {data.note}"
            found.findings.append(Finding("tags", Severity.warning, image, message))


def _candidate(folder: Path, file: Path) -> _Candidate | None:
    """A data file that is read, or that is meant to be one but is broken; None for one of another kind."""
    name = file.relative_to(folder).as_posix()
    try:
        sheets = _read_sheets(file)
    except DatasetError as error:
        return _Candidate(file, name, frozenset(), str(error).removeprefix(f"{printable(file)}: "))
    images = {path_from(name, sheet.image) for sheet in sheets if sheet.image}
    return _Candidate(file, name, frozenset(images)) if sheets else None


@lru_cache(maxsize=4)
def _read_sheets_as_of(file: Path, changed_ns: int) -> list[SheetData]:  # noqa: ARG001 (tells versions apart)
    try:
        text = read_text(file, limits.INDEX_BYTES)
        if file.suffix.lower() == ".json":
            return parse_json(text)
        if file.suffix.lower() != ".xml":
            sheet = parse_frame_list(text)
        else:
            sheet = parse_atlas(text) if f"<{ROOT}" in text else None
        return [sheet] if sheet else []
    except ValueError as error:
        raise DatasetError(f"{printable(file)}: {printable(error)}; export it again or remove it") from error


def _read_sheets(file: Path) -> list[SheetData]:
    return _read_sheets_as_of(file, file.stat().st_mtime_ns)


def _unread(folder: Path, problems: Mapping[Path, str], known: dict[str, str], found: Indexes) -> list[Finding]:
    """A warning for each image that a data file seems to describe that is not read, unless one that is read does too.

    `problems`: why each file cannot be read, empty for one of another kind.
    """
    stems = {_stem(image): image for image in known.values()}
    findings: list[Finding] = []
    for file, problem in problems.items():
        name = file.relative_to(folder).as_posix()
        text = _text_of(file) if problem else _places_parts(file)
        if text is None:
            continue
        named = {known[path] for mention in image_mentions(text) if (path := path_from(name, mention)) in known}
        whole = str(PurePosixPath(composed(name)).with_suffix(""))  # Unity: hero.png.meta
        named |= {image for image in (stems.get(_stem(name)), known.get(whole)) if image is not None}
        for image in sorted(named - found.files.keys()):
            reason = f": {problem}" if problem else " seems to describe its parts and is not read"
            message = f"{printable(name)}{reason}; {REMEDY}"
            findings.append(Finding("unread_index", Severity.warning, image, message))
    return findings


def _places_parts(file: Path) -> str | None:
    """The text of a data file that is not read, None where it places no parts of a picture."""
    text = _text_of(file)
    if text is None:
        return None
    suffix = file.suffix.lower()
    if suffix == ".json":
        return text if has_rectangles(text) else None
    if suffix == ".xml":
        return text if f"<{ROOT}" in text or (' x="' in text and ' y="' in text) else None
    if suffix == ".meta":
        return text if UNITY_SPRITES.search(text) else None
    return text


def _text_of(file: Path) -> str | None:
    try:
        return read_text(file, limits.INDEX_BYTES)
    except ValueError:
        return None


def path_from(index: str, image: str) -> str:
    """The path below the set's folder of an image that a data file names from where it lies."""
    plain = composed(image).strip().replace("\\", "/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(composed(index)), plain))


def _last_part(image: str) -> str:
    return posixpath.basename(composed(image).replace("\\", "/"))


def _stem(name: str) -> str:
    return str(PurePosixPath(composed(name)).with_suffix("")).casefold()
