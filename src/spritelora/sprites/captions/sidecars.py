"""Captions that stand beside images: `.txt` and `.caption` files, `metadata.jsonl` and `metadata.csv`."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from spritelora import limits
from spritelora.files import JsonObject, read_start
from spritelora.sprites.captions.caption_owners import composed
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import printable

METADATA_FILES = ("metadata.jsonl", "metadata.csv")
DELIMITERS = ",;\t|"
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n")
"""The line that Excel writes before a table."""

IMAGE_CELL = re.compile(r".*\.(a?png|jpe?g|webp|bmp|gif|ase(prite)?)", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters of Unicode's categories Cc and Cs."""

Row = JsonObject


def clean_caption(text: str) -> str:
    """A caption on one line. Raises ValueError for characters that no caption has."""
    caption = " ".join(text.split())
    if found := CONTROL.search(caption):
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}; write it anew as plain text")
    limits.CAPTION_BYTES.check(len(caption.encode()))
    return caption


def read_text(file: Path, most: limits.Limit) -> str:
    """A UTF-8 file of limited size. Raises ValueError that says what is wrong."""
    try:
        content = read_start(file, most.most)
        most.check(len(content))
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"cannot be read as UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror or error}); check its permissions") from error


def read_side_captions(files: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The caption files of an image with their captions. Raises ValueError that names the file."""
    for file in files:
        try:
            yield file, clean_caption(read_text(file, limits.CAPTION_BYTES))
        except ValueError as error:
            raise ValueError(f"{printable(file.name)}: {error}") from error


def read_table(file: Path, name: str) -> tuple[list[tuple[int, Row]], list[Finding]]:
    """The rows of a `.jsonl` or `.csv` file with their line numbers, and a finding for each bad line.

    `name`: the file's path below the set's folder.
    """
    try:
        text = read_text(file, limits.TABLE_BYTES)
        limits.TABLE_ROWS.check(text.count("\n"))
    except ValueError as error:
        return [], [_error(name, str(error))]
    if file.suffix.lower() == ".csv":
        return _read_csv(text, name)
    rows: list[tuple[int, Row]] = []
    problems: list[Finding] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append((number, _object(line)))
            except (ValueError, RecursionError) as error:
                problems.append(_error(name, f"line {number} is not one JSON object ({error}); repair or remove it"))
    return rows, problems


def _read_csv(text: str, name: str) -> tuple[list[tuple[int, Row]], list[Finding]]:
    """Rows by the names in the first line, which also shows what stands between values: a comma, `;`, a tab or `|`.

    A quoted value may go over lines. A quote that does not end is an error, for it would swallow the rows after it, and
    so is one that ends in the row of another image.
    """
    separator = SEPARATOR_LINE.match(text)
    first_line = 1
    if separator:
        text, first_line = text[separator.end() :], 2
    head = text.partition("\n")[0]
    delimiter = separator[1] if separator else max(DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, Row]] = []
    problems: list[Finding] = []
    line = first_line
    try:
        columns = [column.strip() for column in next(reader, list[str]())]
        line = first_line + reader.line_num
        for values in reader:
            if len(values) > len(columns):
                found = f"line {line} has {len(values)} values, and the first line names {len(columns)}"
                problems.append(_error(name, f"{found}; put a text with {delimiter!r} in it into double quotes"))
            elif swallowed := _swallowed(values, delimiter):
                found = f"line {line} has a quote that is not closed before the row of {printable(swallowed)[:80]}"
                problems.append(_error(name, f"{found}; close it, and write a quote within a text twice"))
            elif values:
                rows.append((line, dict(zip(columns, values, strict=False))))
            line = first_line + reader.line_num
    except csv.Error as error:
        return [], [_error(name, f"is not CSV ({error} in the row from line {line} on); repair or remove it")]
    return rows, problems


def _swallowed(values: Iterable[str], delimiter: str) -> str | None:
    """The name of an image that stands in a row of its own within a value of several lines; None for no such row."""
    for line in (line for value in values for line in value.split("\n")[1:]):
        for cell in line.split(delimiter) if delimiter in line else ():
            if IMAGE_CELL.fullmatch(cell.strip().strip('"')):
                return cell.strip().strip('"')
    return None


def metadata_captions(folder: Path, file: Path, images: set[str]) -> tuple[dict[str, str], list[Finding]]:
    """Captions by image path from a table with `file_name` and `text`, as diffusers' imagefolder reads it.

    `images`: paths of the set's images, which a row may write in another form of Unicode or with `\\`. A row that names
    what is not there, or a path out of the table's own folder, is a problem.
    """
    name = file.relative_to(folder).as_posix()
    rows, problems = read_table(file, name)
    known = {composed(image): image for image in images}
    captions: dict[str, str] = {}
    for number, row in rows:
        try:
            image = path_below(PurePosixPath(name).parent, row.get("file_name"), "file_name")
            if image not in images:
                image = _same_image(image, known)
            text = row.get("text")
            if not isinstance(text, str):
                raise ValueError(f'has no "text" (only {", ".join(sorted(map(repr, row)))}); name the caption so')
            caption = clean_caption(text)
            if captions.setdefault(image, caption) != caption:
                raise ValueError(f"gives {printable(image)} a second caption; keep one")
        except ValueError as error:
            problems.append(_error(name, f"line {number} {error}"))
    return captions, problems


def _same_image(name: str, known: dict[str, str]) -> str:
    """The image that a table means by a name that no file has as it stands. Raises ValueError where there is none."""
    slashes = composed(name).replace("\\", "/")
    if ".." in slashes.split("/") or PureWindowsPath(name.rpartition("/")[2]).drive:
        raise ValueError(f"names {printable(name)}; an image is named by its path below the table's folder, without ..")
    plain = PurePosixPath(slashes).as_posix()
    if plain in known:
        return known[plain]
    alike = next((image for key, image in known.items() if key.casefold() == plain.casefold()), None)
    hint = f" (there is {printable(alike)})" if alike else ""
    raise ValueError(f"names {printable(name)}, and there is no such image{hint}; correct or remove the line")


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
    """A message for images that have different captions in several places; the first one is taken."""
    (first, taken), *others = captions
    against = [place for place, text in others if text != taken]
    if not against:
        return None
    places = " and ".join(printable(p) for p in against)
    return f"{printable(first)} is taken, and {places} says otherwise: keep one caption"
