"""Names of prepared files: flat, readable, unique on every file system, with kohya's folders kept."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from spritelora.file_names import safe_name, tell_apart

KOHYA_FOLDER = re.compile(r"(0|[1-9]\d*)_.+", re.DOTALL)


def prepared_stems(names: Iterable[tuple[str, str]]) -> list[str]:
    """A stem for each pair of source path and tag: no two alike, whatever the case of letters.

    kohya reads no folders below folders, so those are joined into the name; the last one in kohya's form
    (`10_knight`: repeats) stays a folder.
    """
    return tell_apart(_stem(source, tag) for source, tag in names)


def _stem(source: str, tag: str) -> str:
    path = PurePosixPath(source)
    folders = list(path.parts[:-1])
    places = [i for i, part in enumerate(folders) if KOHYA_FOLDER.fullmatch(part)]
    kept = [safe_name(folders.pop(places[-1]))] if places else []
    return "/".join([*kept, safe_name("_".join([*folders, path.stem, *([tag] if tag else [])]))])
