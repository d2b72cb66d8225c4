"""Files that appear whole or not at all, what goes into those of JSON, and where they are."""

import errno
import json
import math
import os
import re
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from spritelora import limits
from spritelora.errors import ConfigError

JsonObject = dict[str, Any]
"""An object of JSON; its values are checked where they are used."""
WAITS_S = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8)


def write_whole(file: Path, content: str | bytes) -> None:
    """Replace a file's content; a reader, and whoever comes after a kill, sees the old or the new, never a part.

    Text is written as UTF-8; the rights on an old file stay. Raises OSError, and leaves the old file and nothing else.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        with suppress(FileNotFoundError):
            partial.chmod(stat.S_IMODE(file.stat().st_mode))
        replace(partial, file)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, a quota and a limit of file sizes; of a file that is open already they name none."""


def is_told(error: OSError) -> bool:
    """Whether an error of the system is about a file or a disk, as it can come to anybody."""
    return error.filename is not None or error.errno in NO_ROOM


def replace(source: Path, target: Path) -> None:
    """Give a file the name of another, which goes. On Windows, wait for those who read that one at the moment.

    Raises OSError.
    """
    for wait_s in WAITS_S if os.name == "nt" else ():
        with suppress(PermissionError):
            source.replace(target)
            return
        time.sleep(wait_s)
    source.replace(target)


def sync(path: Path) -> None:
    """Make sure a file or folder has reached the disk; Windows sees to its folders itself."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows syncs what it may write
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_same(first: Path, second: Path) -> bool:
    """Whether two paths lead to one file or folder, by links and letter case as the system says; it may be to come."""
    try:
        return first.samefile(second)
    except OSError:  # one is not there
        return os.path.normcase(first.resolve()) == os.path.normcase(second.resolve())


def is_within(inner: Path, outer: Path) -> bool:
    """Whether a path is a folder or lies anywhere in it."""
    return any(is_same(place, outer) for place in (inner, *inner.resolve().parents))


def linked_parts(folder: Path, names: Iterable[str]) -> list[str]:
    """The parts of paths below a folder that are links, which lead elsewhere. `names`: with `/` between their parts."""
    parts = {
        PurePosixPath(*path.parts[:n]) for path in map(PurePosixPath, names) for n in range(1, len(path.parts) + 1)
    }
    return [str(part) for part in sorted(parts) if (folder / part).is_symlink()]


def is_below(name: str) -> bool:
    """Whether a recorded name, with `/` between its parts, leads below its folder, on any system."""
    parts = PurePosixPath(name).parts
    is_plain = bool(parts) and ".." not in parts and "\0" not in name and "\\" not in name
    return is_plain and not PurePosixPath(name).is_absolute() and not PureWindowsPath(name).drive


def public_name(text: str, within: Path | None = None) -> str:
    """A name that was a path, by its last part, or from a folder that it is passed on with; a hub id as it is."""
    if within is not None and is_within(Path(text), within):
        return Path(text).resolve().relative_to(within.resolve()).as_posix()
    if PureWindowsPath(text).is_absolute() or text.startswith((".\\", "..\\", "~\\")):
        return PureWindowsPath(text).name
    is_local = text.startswith(("/", ".", "~")) or text.count("/") > 1 or Path(text).exists()
    return Path(text).name if is_local else text


def is_hub_id(text: str) -> bool:
    """Whether a text may name a model on the hub, as `owner/name`: it is no path of any system."""
    return re.fullmatch(r"\w[\w.-]*/[\w.-]+", text) is not None


def check_free(files: Sequence[Path], overwrite: bool) -> None:
    """Raise ConfigError where files are there that must stay."""
    taken = [str(file) for file in files if file.exists()]
    if taken and not overwrite:
        raise ConfigError(f"{', '.join(taken)} exists: name another output=, or replace it with overwrite=true")


def read_json(file: Path) -> Any:
    """The content of a JSON file. Raises OSError, and ValueError that says what is wrong with it."""
    content = read_start(file, limits.JSON_BYTES.most)
    limits.JSON_BYTES.check(len(content))
    return parse_json(content)


def read_start(file: Path, most: int) -> bytes:
    """A file's first bytes: `most`, and of a longer file one more, by which that is seen. Raises OSError."""
    with file.open("rb") as stream:
        return stream.read(most + 1)


def parse_json(content: bytes | str) -> Any:
    """The value that a text of JSON stands for. Raises ValueError that says what is wrong with it."""
    try:
        value = json.loads(content)
        level = [value]
        for _ in range(limits.JSON_LEVELS.most):
            level = [part for whole in level if isinstance(whole, dict | list) for part in _parts(whole)]
        if level:
            raise limits.JSON_LEVELS.error()
        return value
    except RecursionError as error:
        raise limits.JSON_LEVELS.error() from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error.msg} in line {error.lineno}, column {error.colno})") from error


def _parts(whole: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return whole.values() if isinstance(whole, dict) else whole


def without_nan(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: None stands for them."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
