"""Findings of the checks of a data set, by file."""

from collections.abc import Iterable, Sequence
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


TO_BE_ANSWERED = {"doubtful_sheet", "set_aside", "not_cut", "unread"}
"""Kinds of what stays out of the set and may belong to it, which matters more than what is only learnt less well."""
LEFT_OUT = {"picture_of_pack", "sheet_of_singles", "second_sheet"}
"""Kinds of what stays out for good reason."""


@dataclass(frozen=True)
class FindingGroup:
    """All findings of a kind, at least one, the gravest first."""

    findings: Sequence[Finding]

    @property
    def first(self) -> Finding:
        """The finding that stands for all."""
        return self.findings[0]

    @property
    def rest(self) -> Sequence[Finding]:
        """The others."""
        return self.findings[1:]


def group_findings(findings: Iterable[Finding], shows_left_out: bool = False) -> list[FindingGroup]:
    """The findings by kind, by severity; then what is left out, what is of the set, what is of most files.

    `shows_left_out`: for a page that shows in another place what is left out for good reason.
    """
    order = list(Severity)
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    groups = [FindingGroup(sorted(of_kind, key=lambda f: order.index(f.severity))) for of_kind in by_kind.values()]

    def rank(group: FindingGroup) -> tuple[int, int, bool, int]:
        first = group.first
        weight = 0 if first.kind in TO_BE_ANSWERED else 1
        if first.kind in LEFT_OUT:
            weight = 2 if shows_left_out else 0
        return order.index(first.severity), weight, bool(first.file), -len(group.findings)

    return sorted(groups, key=rank)
