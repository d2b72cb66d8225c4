"""Lengths of time as people type them: 2h30m, 45m, 90s."""

import re

UNIT_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
PATTERN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(text: str) -> int | None:
    """The seconds that a text such as 2h30m says; None where it says none, or zero."""
    match = PATTERN.fullmatch(text.strip())
    if match is None:
        return None
    counts = [int(count or 0) for count in match.groups()]
    return sum(n * unit for n, unit in zip(counts, UNIT_S.values(), strict=True)) or None


def duration_problem(path: str, text: str) -> str | None:
    """A message about a wrong length of time, or None."""
    if parse_duration(text) is not None:
        return None
    return f"{path} must be a length of time above zero with its units, such as 2h30m, 45m or 90s, got '{text}'"
