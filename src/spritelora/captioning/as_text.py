"""All captions as one text for a terminal's editor: a line a sprite, name, tab, caption."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from spritelora.errors import ConfigError, DatasetError
from spritelora.program import typed

HEAD = """\
# One sprite a line: its name, a tab, its caption. Change captions; leave the names. A line taken out stays as it was.
# Lines that begin with # are notes. Nothing is changed unless every line can be read.
"""


def write_text(captions: Mapping[str, str | None]) -> str:
    """The text to edit. Line breaks, tabs and backslashes in names are written as `\\n`, `\\t`, `\\\\`."""
    return HEAD + "".join(f"{_escape(name)}\t{caption or ''}\n" for name, caption in captions.items())


def read_text(text: str, names: Mapping[str, str | None]) -> dict[str, str]:
    """The captions of an edited text by name. Raises DatasetError that lists every line that cannot be read."""
    escaped = {_escape(name): name for name in names}
    captions: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        written, tab, caption = line.partition("\t")
        name = escaped.get(written)
        if not line.strip() or (line.startswith("#") and name is None):
            continue
        if not tab:
            problems.append(f"line {number}: no tab between name and caption: '{line[:60]}'")
        elif name is None:
            problems.append(f"line {number}: no sprite is called '{written}'")
        elif name in captions:
            problems.append(f"line {number}: '{written}' a second time")
        else:
            captions[name] = " ".join(caption.split())
    if problems:
        raise DatasetError("\n  ".join(["nothing was changed:", *problems]))
    return captions


def find_editor() -> list[str]:
    """The command of $VISUAL, or of $EDITOR. Raises ConfigError where neither is set."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    is_windows = os.name == "nt"  # where a backslash is a path's own
    command = [word.strip('"') for word in shlex.split(editor, posix=False)] if is_windows else shlex.split(editor)
    if not command:
        raise ConfigError(f"editor=true: neither VISUAL nor EDITOR is set; name one: EDITOR=nano {typed('caption')}")
    return command


def edit_text(command: list[str], text: str) -> tuple[str, Path]:
    """Let an editor change a text. Returns it, and the file that holds it, for the caller to remove.

    Raises ConfigError where the editor cannot be started, DatasetError where it fails.
    """
    handle, name = tempfile.mkstemp(prefix="captions-", suffix=".tsv")
    file = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        stream.write(text)
    try:
        status = subprocess.run([*command, name], check=False).returncode
    except OSError as error:
        file.unlink()
        raise ConfigError(f"editor=true: '{command[0]}' cannot be started ({error.strerror}); set EDITOR") from error
    if status != 0:
        raise DatasetError(f"{command[0]} ended with status {status}: nothing was changed; your text is in {file}")
    try:
        return file.read_bytes().decode("utf-8-sig", errors="surrogateescape").replace("\r\n", "\n"), file
    except OSError as error:
        raise DatasetError(f"{file}: the edited text is gone ({error.strerror}): nothing was changed") from error


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
