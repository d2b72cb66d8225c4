"""Checks of the folder that a command is to write into, when it starts."""

import json
from pathlib import Path
from typing import Any

from spritelora.config.plain import plain
from spritelora.errors import ConfigError
from spritelora.files import write_whole
from spritelora.runs.layout import DRAWN

LOCK = ".lock"
HYDRA = ".hydra"


def is_occupied(folder: Path, log_name: str) -> bool:
    """Whether a folder, or a file in its place, holds more than is left of the same command that was killed.

    `log_name`: of the command's log.
    """
    if not folder.is_dir():
        return folder.exists()
    return not (folder / _note_name(log_name)).is_file() and not is_unused(folder, log_name)


def is_unused(folder: Path, log_name: str) -> bool:
    """Whether a folder holds nothing but what stands there before the first result."""
    return {file.name for file in folder.iterdir()} <= {HYDRA, LOCK, log_name}


def begin(folder: Path, log_name: str, settings: Any, replaces: bool = False) -> None:
    """Note what is asked for until all of it is written, so that the same command goes on after a kill.

    `replaces`: results of other settings are replaced. Raises ConfigError where the folder holds such, and they stay.
    """
    asked, file = json.dumps(plain(settings), indent=1) + "\n", folder / _note_name(log_name)
    is_other = file.is_file() and file.read_text(encoding="utf-8", errors="replace") != asked
    results = {f.name for f in folder.iterdir()} - {HYDRA, LOCK, DRAWN, log_name, file.name} if is_other else set()
    if results and not replaces:
        raise ConfigError(
            f"{folder} holds what is left of the same command with other settings: type those again, or choose another "
            f"folder with output="
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, asked)


def end(folder: Path, log_name: str) -> None:
    """Remove the note: all is written."""
    (folder / _note_name(log_name)).unlink()


def _note_name(log_name: str) -> str:
    return f".{Path(log_name).stem}.unfinished"
