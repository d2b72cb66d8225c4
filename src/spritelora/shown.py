"""Texts fit to be shown: those of strangers without signs that a terminal obeys or lines like ours; counts, times."""

import re

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that move a terminal's cursor, break its lines or turn a text's direction; not tabs and line feeds."""

OWN_SEQUENCES = re.compile(r"\r|\x1b\[\d*[AK]")
"""The sequences that progress bars are drawn with."""


def printable(name: object) -> str:
    """A text on one line as it may stand in a message: line breaks and other invisible characters are escaped."""
    text = str(name)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def paragraph(text: str) -> str:
    """A message of several lines: what a terminal obeys is escaped, and all lines but the first are indented.

    So a line that a stranger's text has brought is never taken for a message of its own.
    """
    first, *rest = harmless(text).split("\n")
    return "\n".join([first, *(line if line.startswith("  ") or not line else f"  {line}" for line in rest)])


def harmless(text: str, is_drawn_on: bool = False) -> str:
    """A text whose signs to a terminal are escaped; `is_drawn_on`: but for those that progress bars are made of."""
    if OBEYED.search(text) is None:
        return text
    kept = OWN_SEQUENCES.findall(text) if is_drawn_on else []
    parts = OWN_SEQUENCES.split(text) if is_drawn_on else [text]
    escaped = [OBEYED.sub(lambda match: _escaped(match[0]), part) for part in parts]
    return "".join(part + sequence for part, sequence in zip(escaped, [*kept, ""], strict=True))


def counted(number: int, noun: str) -> str:
    """A number of things: 1 sprite, 4 sprites, 1,000 passes."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def duration(seconds: float) -> str:
    """A length of time as people say it: 45 s, 2 min 10 s, 3 h 05 min, 101 days."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 3 * 24 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{round(whole / (24 * 3600)):,} days"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
