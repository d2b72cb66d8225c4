"""Documents of this project as a reader uses them: their commands are typed, their links followed."""

import contextlib
import io
import logging
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from hydra.core.hydra_config import HydraConfig

from spritelora.config.command_line import list_groups
from spritelora.config.fields import walk_schema
from spritelora.door.command_table import COMMANDS
from tests.conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "notebooks" / "README.md",
]

SCRIPTS = [ROOT / "train.py", *sorted((ROOT / "scripts").glob("*.py"))]


@dataclass(frozen=True)
class Command:
    """What a fenced block tells people to type, and the line that it starts on."""

    text: str
    line: int

    @property
    def words(self) -> list[str]:
        """The words after `python`; what starts a program on several processes, as torchrun and srun, is left out."""
        words = shlex.split(self.text)
        return ["python", *words[words.index("train.py") :]] if "train.py" in words else words

    @property
    def is_ours(self) -> bool:
        return self.text.startswith("python ")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    status: int
    printed: str


def fenced_blocks(file: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Language, number of the first line, and lines of every fenced block."""
    opened: tuple[str, int, list[str]] | None = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"\s*```(\w*)", line)
        if fence and opened:
            yield opened
            opened = None
        elif fence:
            opened = (fence[1], number + 1, [])
        elif opened:
            opened[2].append(line.strip())
    assert opened is None, f"{file}: the fence of line {opened and opened[1] - 1} is never closed"


def commands_of(file: Path) -> list[Command]:
    """The lines of a document's fenced blocks, but for those marked `text`; a here-document is one command."""
    commands: list[Command] = []
    for language, first, lines in fenced_blocks(file):
        rest = [] if language == "text" else list(enumerate(lines, first))
        while rest:
            number, text = rest.pop(0)
            if here := re.search(r"<<\s*'?(\w+)'?", text):
                while not text.endswith(f"\n{here[1]}"):
                    text += "\n" + rest.pop(0)[1]
            if text and not text.startswith("#"):
                commands.append(Command(text, number))
    return commands


def run_in(folder: Path, words: list[str]) -> Outcome:
    """Type `python SCRIPT ARGUMENTS...` in a folder, without the seconds that a process of its own takes to start."""
    printed = io.StringIO()
    with _as_if_alone(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        sys.argv = words[1:]
        try:
            runpy.run_path(str(ROOT / words[1]), run_name="__main__")
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Outcome(status, printed.getvalue())


def run_shell(folder: Path, text: str) -> Outcome:
    """Type a line of the shell in a folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", text], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True)
    return Outcome(done.returncode, (done.stdout + done.stderr).decode())


@contextlib.contextmanager
def _as_if_alone(folder: Path) -> Iterator[None]:
    """Put back what a command changes for its whole process: arguments, folder, environment, signals, logging."""
    root = logging.getLogger()
    argv, handlers, level, on_sigterm = sys.argv, list(root.handlers), root.level, signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.chdir(folder), patch.dict(os.environ):
            yield
    finally:
        sys.argv, root.handlers, root.level = argv, handlers, level
        HydraConfig.instance().cfg = None
        signal.signal(signal.SIGTERM, on_sigterm)


def anchors_of(file: Path) -> set[str]:
    """The headings of a document, as links name them."""
    fenced = {number + i for _, number, lines in fenced_blocks(file) for i in range(len(lines))}
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    heads = [line.lstrip("#").strip() for n, line in lines if re.match(r"#+ ", line) and n not in fenced]
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(file: Path) -> list[str]:
    """Links to files that are not there, and to headings that the file has not; links to the web are not followed."""
    broken: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8")):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = file.parent / name if name else file
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


def keys_in(text: str) -> list[str]:
    """The keys of every `key=value` that a text shows as code."""
    code = " ".join(re.findall(r"`([^`]+)`", text))
    return re.findall(r"(?<![\w.\-/])([a-z_][\w.]*)=(?!=)", code)


def keys_of(script: str) -> set[str]:
    """What a script takes left of an equals sign: keys, and of `train` groups and the arguments of its leaves."""
    keys = {path for path, _, _ in walk_schema(COMMANDS[script].schema)}
    if script not in ("train", "doctor"):
        return keys
    groups = {g for g in list_groups(ROOT / "conf") if not g.startswith("hydra")}
    files = [f for g in groups for f in (ROOT / "conf" / g).glob("*.yaml")]
    names = {(f.parent.name, m[1]) for f in files for m in re.finditer(r"^(\w+):", f.read_text(), re.MULTILINE)}
    return keys | groups | {f"{group}.{name}" for group, name in names}
