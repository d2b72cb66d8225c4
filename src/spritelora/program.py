"""Commands as they are typed and started: `python train.py` in a checkout, `spritelora train` where it is installed."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

PROGRAM = "spritelora"
PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]
"""The repository's folder; where the package is installed, a folder without `train.py`."""


def options_root() -> Path:
    """The folder that holds `conf` and `scripts/conf`: the package, where they travelled with it, or the checkout."""
    return PACKAGE if (PACKAGE / "conf").is_dir() else CHECKOUT


def typed(command: str, *words: str) -> str:
    """A command as a user types it, in the way that this process was started.

    `command`: its name, such as train. `words`: what follows it, quoted here where a shell needs it.
    """
    return " ".join([_start_of(command), *map(for_shell, words)])


def without_checkout(text: str) -> str:
    """A text with commands as they are typed in the checkout, whose folder is not told: for pages that others read."""
    return text.replace(f"{CHECKOUT}{os.sep}", "")


def child_command(command: str, *words: str) -> list[str]:
    """The arguments of a process that runs a command, whatever this one was started with and on every system."""
    return [sys.executable, "-P", "-m", PROGRAM, command, *words]


def for_shell(word: str) -> str:
    """A word as a shell takes it, in double quotes where it holds single ones and nothing that a shell expands."""
    if os.name == "nt":
        return subprocess.list2cmdline([word])
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def _start_of(command: str) -> str:
    started = Path(sys.argv[0]).resolve()
    if started.stem == PROGRAM:  # the console script; Windows calls it spritelora.exe
        return f"{PROGRAM} {command}"
    if started == PACKAGE / "__main__.py":
        return f"python -m {PROGRAM} {command}"
    for folder in (started.parent, started.parent.parent, CHECKOUT):
        file = folder / ("train.py" if command == "train" else f"scripts/{command}.py")
        if file.is_file() and (folder / "scripts").is_dir():
            return f"python {for_shell(str(file.relative_to(folder) if folder == Path.cwd() else file))}"
    return f"{PROGRAM} {command}"
