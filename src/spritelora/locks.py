"""Locks between processes, the same on every system."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NO_LOCKS = {getattr(errno, name, None) for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EROFS", "EACCES")}
"""Errors of a file system that has no locks, or where nothing can be written."""


class LockedError(Exception):
    """Another process holds the lock."""


@contextmanager
def held(file: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock for the block; the system frees it when the process ends, however that ends.

    `file`: of the lock alone, for Windows lets nobody read or replace a file that is locked. Windows removes it
    afterwards; elsewhere it stays. Where the file system has no locks, nothing is held. Raises LockedError where
    another process, or another block of this one, holds the lock and `wait` is false, OSError where there can be no
    such file: its folder has gone, or its name is a link or a folder.
    """
    lock = _take(file, wait)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def is_held(file: Path) -> bool | None:
    """Whether a process holds the lock of a file; None where that cannot be seen from here."""
    if not file.exists():  # else the question would make it
        return False if file.parent.is_dir() else None
    try:
        lock = _take(file, wait=False)
    except LockedError:
        return True
    except OSError:
        return None
    if lock is None:
        return None
    lock.release()
    return False


def _take(file: Path, wait: bool) -> FileLock | None:
    lock = FileLock(file)
    try:
        lock.acquire(blocking=wait)
    except Timeout as error:
        raise LockedError(file) from error
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None
    return lock
