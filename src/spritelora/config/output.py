"""What may lie in the folder that a command is to write into, when it starts."""

from pathlib import Path

LOCK = ".lock"
HYDRA = ".hydra"
UNFINISHED = ".unfinished"
"""A file of a command that has begun to write its results, and what it was asked for; gone when all are written."""


def is_occupied(folder: Path, log_name: str) -> bool:
    """Whether a folder, or a file in its place, holds more than a start leaves that was killed before its first result.

    `log_name`: of the command's log.
    """
    if not folder.is_dir():
        return folder.exists()
    return not {file.name for file in folder.iterdir()} <= {HYDRA, LOCK, log_name}
