"""Captions that stand beside images: `.txt` and `.caption` files, `metadata.jsonl` and `metadata.csv`."""

import csv
import json
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import printable

CAPTION_SUFFIXES = (".txt", ".caption")
METADATA_FILES = ("metadata.jsonl", "metadata.csv")
MAX_CAPTION_BYTES = 64 * 1024
MAX_TABLE_BYTES = 256 * 1024 * 1024

Row = dict[str, Any]


def clean_caption(text: str) -> str:
    """A caption on one line. Raises ValueError for characters that no caption has."""
    caption = " ".join(text.split())
    for character in caption:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(f"holds the control character U+{ord(character):04X}; write it anew as plain text")
    return caption


def read_text(file: Path, max_bytes: int) -> str:
    """A UTF-8 file of limited size. Raises ValueError that says what is wrong."""
    try:
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise ValueError(f"is over {max_bytes:,} bytes; replace or remove it")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"cannot be read as UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror or error}); check its permissions") from error


def read_side_captions(image: Path, present: set[Path]) -> Iterator[tuple[Path, str]]:
    """The caption files of an image with their captions. Raises ValueError that names the file."""
    for suffix in CAPTION_SUFFIXES:
        file = image.with_suffix(suffix)
        if file in present:
            try:
                yield file, clean_caption(read_text(file, MAX_CAPTION_BYTES))
            except ValueError as error:
                raise ValueError(f"{printable(file.name)}: {error}") from error


def read_table(file: Path, name: str) -> tuple[list[tuple[int, Row]], list[Finding]]:
    """The rows of a `.jsonl` or `.csv` file with their line numbers, and a finding for each bad line.

    `name`: the file's path below the set's folder.
    """
    try:
        text = read_text(file, MAX_TABLE_BYTES)
    except ValueError as error:
        return [], [_error(name, str(error))]
    if file.suffix.lower() == ".csv":
        try:
            reader = csv.DictReader(text.splitlines())
            return [(reader.line_num, cast(Row, row)) for row in reader], []
        except csv.Error as error:
            return [], [_error(name, f"is not CSV ({error}); repair or remove it")]
    rows: list[tuple[int, Row]] = []
    problems: list[Finding] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append((number, _object(line)))
            except (ValueError, RecursionError) as error:
                problems.append(_error(name, f"line {number} is not one JSON object ({error}); repair or remove it"))
    return rows, problems


def metadata_captions(folder: Path, file: Path, images: set[str]) -> tuple[dict[str, str], list[Finding]]:
    """Captions by image path from a table with `file_name` and `text`, as diffusers' imagefolder reads it.

    `images`: paths of the set's images. A row that names what is not there, or a path out of the table's own folder,
    is a problem.
    """
    name = file.relative_to(folder).as_posix()
    rows, problems = read_table(file, name)
    captions: dict[str, str] = {}
    for number, row in rows:
        try:
            image = path_below(PurePosixPath(name).parent, row.get("file_name"), "file_name")
            if image not in images:
                raise ValueError(f"names {printable(image)}, and there is no such image; correct or remove the line")
            text = row.get("text")
            if not isinstance(text, str):
                raise ValueError(f'has no "text" (only {", ".join(sorted(map(repr, row)))}); name the caption so')
            caption = clean_caption(text)
            if captions.setdefault(image, caption) != caption:
                raise ValueError(f"gives {printable(image)} a second caption; keep one")
        except ValueError as error:
            problems.append(_error(name, f"line {number} {error}"))
    return captions, problems


def _object(line: str) -> Row:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError(f"it is a {type(value).__name__}")
    return cast(Row, value)


def path_below(parent: PurePosixPath, value: object, key: str) -> str:
    """A table's path as one below the set's folder. Raises ValueError where it leaves the table's folder."""
    if not isinstance(value, str) or not value:
        raise ValueError(f'has no "{key}"; name the image file')
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"names {printable(value)}; an image is named by its path below the table's folder, without .."
        )
    return (parent / path).as_posix()


def _error(name: str, message: str) -> Finding:
    return Finding("metadata", Severity.error, name, message)


def differing(captions: Iterable[tuple[str, str]]) -> str | None:
    """What to say where several places give an image different captions; the first is the one taken."""
    (first, taken), *others = captions
    against = [place for place, text in others if text != taken]
    if not against:
        return None
    places = " and ".join(printable(p) for p in against)
    return f"{printable(first)} is taken, and {places} says otherwise: keep one caption"
