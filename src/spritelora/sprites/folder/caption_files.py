"""Captions on disk: one line of text beside each image, written whole or not at all."""

import hashlib
import stat
from pathlib import Path

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.files import read_start, write_whole
from spritelora.sprites.captions.sidecars import CONTROL, clean_caption
from spritelora.sprites.findings import Finding
from spritelora.sprites.folder.sources import Source, as_line, find_sources, refuse, refuse_empty, survey_folder
from spritelora.sprites.names import printable

REMEDY = "; data.path names the folder that holds them"


def read_set(folder: Path) -> list[Source]:
    """The sprites of a folder. Raises DatasetError where it holds none, or two images that share one caption file."""
    _check_folder(folder)
    return find_sources(folder, REMEDY)


def read_set_to_mend(folder: Path) -> tuple[list[Source], dict[str, Finding]]:
    """The sprites of a folder, those too whose text file cannot be read as a caption, and what is wrong with these.

    Such a sprite's caption is what can be made of the file. Raises DatasetError as `read_set` for all else.
    """
    _check_folder(folder)
    found = survey_folder(folder)
    broken = {s.name for s in found.to_mend}
    refuse(folder, [as_line(p) for p in found.errors if p.file not in broken])
    refuse_empty(folder, found, REMEDY)
    problems = {p.file: p for p in found.errors if p.file in broken}
    return sorted([*found.sources, *found.to_mend], key=lambda source: source.name), problems


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DatasetError(f"{printable(folder)}: no such folder; data.path names a folder of images")


def is_read_only(file: Path) -> bool:
    """Whether nobody may write a file, its owner included."""
    try:
        return not file.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    except OSError:
        return False


def check_writable(file: Path) -> None:
    """Raise DatasetError for a caption file that is read-only."""
    if is_read_only(file):
        raise DatasetError(f"{printable(file)}: read-only, and left so; make it writable to change its caption")


def side_car(source: Source) -> Path | None:
    """The text file for a sprite's caption; None where the caption comes from another kind of file.

    What another program wrote (`metadata.jsonl`, `.caption`) is read and never changed.
    """
    file = source.text_file or source.file.with_suffix(".txt")
    return file if source.caption is None or file.is_file() else None


def caption_version(file: Path) -> str:
    """A fingerprint of a caption file as it is now, empty where there is none."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def read_caption(file: Path) -> str | None:
    """A caption file's text on one line, None where there is none; of other bytes what can be made of them.

    Raises DatasetError where it cannot be read at all.
    """
    try:
        text = read_start(file, limits.CAPTION_BYTES.most)[: limits.CAPTION_BYTES.most].decode(
            "utf-8-sig", errors="replace"
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatasetError(f"{printable(file)}: cannot be read ({error.strerror}); check its permissions") from error
    return one_line(CONTROL.sub(" ", text))


def write_caption(file: Path, caption: str) -> None:
    """Write a caption, whole or not at all.

    Raises DatasetError that names the file for a text that could not be read back as a caption, and for a file that is
    read-only: it stays as it is.
    """
    try:
        write_content(file, clean_caption(caption) + "\n")
    except ValueError as error:
        raise DatasetError(f"{printable(file)}: not written: the caption {error}") from error


def write_content(file: Path, content: str | bytes) -> None:
    """Write all of a caption file, whole or not at all. Raises DatasetError as `write_caption`."""
    check_writable(file)
    try:
        write_whole(file, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(
            f"{printable(file)}: the caption cannot be written ({reason}); see to the folder and run again"
        ) from error


def one_line(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())
