"""What prepared files are called: flat, readable, unique on every file system, with kohya's folders kept."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

KOHYA_FOLDER = re.compile(r"(0|[1-9]\d*)_.+", re.DOTALL)
UNSAFE = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"|?*\\]')
LONGEST_STEM = 150
"""Bytes of a stem; file systems end at 255, and suffixes are to follow."""


def prepared_stems(names: Iterable[tuple[str, str]]) -> list[str]:
    """A stem for each pair of source path and tag: no two alike, whatever the case of letters.

    kohya reads no folders below folders, so those are joined into the name; the last one in kohya's form
    (`10_knight`: repeats) stays a folder.
    """
    taken: set[str] = set()
    stems: list[str] = []
    for source, tag in names:
        stem = _stem(source, tag)
        unique, number = stem, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def _stem(source: str, tag: str) -> str:
    path = PurePosixPath(source)
    folders = list(path.parts[:-1])
    places = [i for i, part in enumerate(folders) if KOHYA_FOLDER.fullmatch(part)]
    kept = [_safe(folders.pop(places[-1]))] if places else []
    return "/".join([*kept, _safe("_".join([*folders, path.stem, *([tag] if tag else [])]))])


def _safe(name: str) -> str:
    """A name with nothing that a file system or a shell stumbles over, and not hidden."""
    clean = re.sub(r"^\.", "_", UNSAFE.sub("_", unicodedata.normalize("NFC", name)).replace("/", "_"))
    raw = clean.encode("utf-8")
    if len(raw) <= LONGEST_STEM:
        return clean
    return raw[:LONGEST_STEM].decode("utf-8", "ignore") + "_" + hashlib.sha256(raw).hexdigest()[:8]
