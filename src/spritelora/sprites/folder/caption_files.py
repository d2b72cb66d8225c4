"""Captions on disk: one line of text beside each image, written whole or not at all."""

import hashlib
from pathlib import Path

from spritelora.errors import DatasetError
from spritelora.files import write_whole
from spritelora.sprites.folder.sources import Source, find_sources


def read_set(folder: Path) -> list[Source]:
    """The sprites of a folder. Raises DatasetError where it holds none, or two images that share one caption file."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; dataset names a folder of images")
    return find_sources(folder, "; dataset names the folder that holds them")


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
    """A caption file's text on one line, None where there is none. Raises DatasetError for what is no UTF-8 text."""
    try:
        return one_line(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read as UTF-8 text ({error}); save it again as UTF-8") from error


def write_caption(file: Path, caption: str) -> None:
    """Write a caption, whole or not at all. Raises DatasetError that names the file."""
    try:
        write_whole(file, one_line(caption) + "\n")
    except (OSError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(
            f"{file}: the caption cannot be written ({reason}); see to the folder and run again"
        ) from error


def one_line(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())
