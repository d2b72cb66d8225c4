"""Names of files and folders that every file system takes."""

import errno
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spritelora.errors import ConfigError

UNSAFE = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"|?*\\/]')
PORTS = {f"{kind}{number}" for kind in ("com", "lpt") for number in "0123456789¹²³"}
DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | PORTS
"""Names of devices on Windows, with any suffix. Source: Naming Files, Paths, and Namespaces, learn.microsoft.com."""

LONGEST_NAME = 150
"""Bytes of a name that is made here; file systems end at 255, and suffixes are to follow."""
LONGEST_OF_SYSTEM = 255


def safe_name(text: str) -> str:
    """A text as the name of a file or folder, or as the start of one: `aux` becomes `aux_`, `a: b.` becomes `a_ b_`.

    Names that differ may become the same: see `tell_apart`.
    """
    clean = UNSAFE.sub("_", unicodedata.normalize("NFC", text))
    clean = "".join(c if _is_encodable(c) else "_" for c in clean)
    clean = re.sub(r"^\.|[. ]$", "_", clean) or "_"
    if _is_device(clean):
        first, dot, rest = clean.partition(".")
        clean = f"{first}_{dot}{rest}"
    raw = clean.encode()
    if len(raw) <= LONGEST_NAME:
        return clean
    return raw[:LONGEST_NAME].decode(errors="ignore") + "_" + hashlib.sha256(raw).hexdigest()[:8]


def tell_apart(names: Iterable[str]) -> list[str]:
    """The same names with `-2`, `-3` and so on after those that came before, whatever the case of letters."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # so that many equal names take no time that grows with the square of their number
    distinct: list[str] = []
    for name in names:
        candidate, number = name, numbers.get(name.casefold(), 1)
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        numbers[name.casefold()] = number
        taken.add(candidate.casefold())
        distinct.append(candidate)
    return distinct


def check_name(key: str, typed: str, is_windows: bool = os.name == "nt") -> None:
    """Raise ConfigError for a path to write that the user typed, where this system has no file of such a name."""
    path = Path(typed)
    for part in path.parts[bool(path.anchor) :]:
        if not _is_encodable(part):
            raise ConfigError(f"{key}={typed}: names of files cannot have all of these letters here; use others")
        if len(os.fsencode(part)) > LONGEST_OF_SYSTEM:
            raise ConfigError(f"{key}: '{part[:40]}...' has over {LONGEST_OF_SYSTEM} bytes; give a shorter name")
        if is_windows and part != ".." and (UNSAFE.search(part) or part[-1] in ". " or _is_device(part)):
            raise ConfigError(f"{key}={typed}: Windows has no file named '{part}'; '{safe_name(part)}' is one it takes")


@contextmanager
def told_of_names() -> Iterator[None]:
    """Raise ConfigError where a path in the block can be no file: too long, or on Windows of letters it has not."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL) or error.filename is None:
            raise
        path = str(error.filename)
        begin = path if len(path) <= LONGEST_OF_SYSTEM else f"{path[:40]}..."
        raise ConfigError(f"'{begin}': {error.strerror}; give another path") from error


def _is_device(name: str) -> bool:
    return name.partition(".")[0].rstrip(" ").casefold() in DEVICES


def _is_encodable(text: str) -> bool:
    """Whether this system's file names can hold the text; they are in the locale's encoding on some."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
