"""Findings of the checks of a data set, by file."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """The weight of a finding: an error keeps a sprite out, a warning costs quality, a note is for information."""

    error = "error"
    warning = "warning"
    note = "note"


@dataclass(frozen=True)
class Finding:
    """One fact about one file.

    `kind`: short stable name such as `jpeg`. `file`: path below the set's folder, empty for the whole set.
    `message`: what was found and what to do.
    """

    kind: str
    severity: Severity
    file: str
    message: str
