"""Free text (prompts, paths) in Hydra's grammar: quoted, so that every character means itself, and read again."""

import re

from spritelora.errors import ConfigError

QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
SEVERAL_QUOTED = re.compile(rf"\s*{QUOTED}(?:\s*,\s*{QUOTED})*\s*")
QUOTED_ENTRY = re.compile(rf"\s*{QUOTED}\s*(?=[,\]]|$)")
BETWEEN_LISTS = re.compile(r"\s*,\s*(?=\[)")


def quote(text: str) -> str:
    """`text` as a quoted string of Hydra's grammar that means exactly `text`."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return "'" + re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + "\\${", escaped) + "'"


def unquote(value: str) -> str:
    """A value as typed without the quotes that enclose it; the inverse of `quote`."""
    text = value.strip()
    if not re.fullmatch(QUOTED, text):
        return value
    mark, inside = text[0], text[1:-1]
    inside = re.sub(r"(\\+)(?=\$\{)", lambda m: m[1][: len(m[1]) // 2], inside)
    return re.sub(rf"(\\+)({mark}|$)", lambda m: m[1][: len(m[1]) // 2] + m[2], inside)


def split_entries(text: str) -> list[str]:
    """The parts of `text` between its commas, but for commas in quotes and in brackets of any kind."""
    return _read_entries(text, 0, "[{(", "]})")[0]


def quoted_list(name: str, value: str) -> str:
    """A list of texts in Hydra's grammar; of several with commas between, or several quoted texts, a sweep of lists."""
    text = value.strip()
    if SEVERAL_QUOTED.fullmatch(text):
        return ",".join(f"[{entry.strip()}]" for entry in split_entries(text))
    lists: list[str] = []
    while text.startswith("["):
        entries, end = _read_entries(text, 1, "[", "]")
        if end == len(text):
            raise ConfigError(
                f"{name}={text}: the list that begins with [ has no ] at its end; close it, or put a text that begins "
                f"with [ into quotes: {name}={quote(text)}"
            )
        lists.append(f"[{','.join(map(_quoted_entry, entries))}]" if entries != [""] else "[]")
        if end + 1 == len(text):
            return ",".join(lists)
        between = BETWEEN_LISTS.match(text, end + 1)
        text = text[between.end() :] if between else ""
    return f"[{quote(value)}]"


def _read_entries(text: str, start: int, opening: str, closing: str) -> tuple[list[str], int]:
    """The entries from `start` to the bracket that closes what was opened before it, and where that is; or to the end.

    An entry that begins with a quote ends with it; brackets and commas in it are its own.
    """
    entries: list[str] = []
    position, depth = start, 0
    while position < len(text):
        if position == start and (quoted := QUOTED_ENTRY.match(text, position)):
            position = quoted.end()
            continue
        depth += (text[position] in opening) - (text[position] in closing)
        if depth < 0:
            break
        if depth == 0 and text[position] == ",":
            entries.append(text[start:position].strip())
            start = position + 1
        position += 1
    return [*entries, text[start:position].strip()], position


def _quoted_entry(entry: str) -> str:
    return entry if re.fullmatch(QUOTED, entry) else quote(entry)
