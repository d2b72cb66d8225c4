"""Paths as people type them: `~` for a home folder."""

import os
import re
from pathlib import Path

from spritelora.errors import ConfigError


def expand_home(place: str) -> str:
    """`place` with a home folder for the `~` or `~user` it begins with; any other text as it is.

    Raises ConfigError for a home folder that is not known.
    """
    match = re.match(r"~([^/\\]*)", place)
    if match is None:
        return place
    user = match[1]
    if not user and os.name == "posix" and os.environ.get("HOME") == "":
        raise ConfigError(f"{place}: the variable HOME is empty; set it to your home folder, or type the whole path")
    try:
        return str(Path(place).expanduser())
    except RuntimeError as error:
        whose = f"there is no user '{user}' on this machine" if user else "your home folder is not known"
        raise ConfigError(
            f"{place}: {whose}; type the whole path, or ./{place} for that name in the current folder"
        ) from error


def expand_known_home(place: str) -> str:
    """As `expand_home`, where a home folder that is not known is left for others to refuse."""
    try:
        return expand_home(place)
    except ConfigError:
        return place
