"""Files that appear whole or not at all, what goes into those of JSON, and where they are."""

import math
import os
import re
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PureWindowsPath
from typing import Any

from spritelora.errors import ConfigError

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


def without_nan(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: None stands for them."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
