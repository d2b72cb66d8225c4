"""Kinds of hostile files, and what becomes of a command that is given one."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.hostile.watched import MOST_BYTES, MOST_CPU_S
from tests.running import ROOT, Ready, run_python

SPRUNG = "sprung"
"""A file that planted code makes where it runs."""
UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey, and what turns the direction of a text."""
FORGED = "FORGED"
"""A line that begins so was written by the file, not by the command."""


class Outcome(Enum):
    """What became of a command."""

    error = "one clear error"
    taken = "taken rightly"
    traceback = "traceback"
    limits = "over the limits"
    outside = "written outside"
    ran = "code run"
    unclear = "unclear, or wrongly taken"


@dataclass(frozen=True)
class Kind:
    """A kind of hostile file: what plants it in a folder, and a command that reads it.

    `reader`: what reads it, and `name`: what it is. `words`: of the command, `{given}`, `{out}` and `{shared}` stand
    for folders. `may`: how it may end: refused, taken, or either. `of`: a pattern that the error must have. `ready`:
    see tests/running.py. `edits`: whether the command is to write into the given folder.
    `shows`: a shared file whose content must be shown where it is taken.
    """

    reader: str
    name: str
    plant: Callable[[Path], object]
    words: tuple[str, ...]
    may: str = "refused"
    of: str = ""
    ready: Ready = "torch"
    edits: bool = False
    shows: str = ""

    @property
    def title(self) -> str:
        return f"{self.reader}: {self.name}"


@dataclass(frozen=True)
class Trial:
    """The outcome of a kind, and what shows it."""

    kind: Kind
    outcome: Outcome
    told: str
    cpu_s: float = 0.0
    memory_gb: float = 0.0


def run_kind(kind: Kind, folder: Path, shared: Path) -> Trial:
    """Plant a kind in `folder`, which is made and removed, and run its command under watch.

    `shared`: what kinds have in common, which none may change.
    """
    shutil.rmtree(folder, ignore_errors=True)
    given, out, home, here, report = (folder / name for name in ("given", "out", "home", "here", "report"))
    for made in (given, home, here, folder / "victim"):
        made.mkdir(parents=True)
    (folder / "victim" / "treasure.txt").write_text("mine\n")
    kind.plant(given)
    places = {"given": str(given), "out": str(out), "shared": str(shared), "victim": str(folder / "victim")}
    words = [_fill(word, places) for word in kind.words]
    writable = [out, here, *([given] if kind.edits else [])]
    order = {"words": [str(ROOT / words[0]), *words[1:]], "write": [*map(str, writable), str(shared / "of_runs")], "home": str(home),
             "report": str(report), "root": str(ROOT)}  # fmt: skip
    (home / "order.json").write_text(json.dumps(order))
    before = _tree(folder, [*writable, home, report])
    try:
        done = run_python(
            ROOT / "tests/hostile/watched.py", home / "order.json", cwd=here, ready=kind.ready, timeout=180
        )
    except subprocess.TimeoutExpired:
        return Trial(kind, Outcome.limits, "180 s went by")
    wanted = (shared / kind.shows).read_text() if kind.shows else ""
    changed = sorted(before.items() ^ _tree(folder, [*writable, home, report]).items())
    trial = _judge(kind, done, [json.loads(line) for line in report.read_text().splitlines()], changed, folder, wanted)
    _make_removable(folder)
    shutil.rmtree(folder)
    return trial


def _judge(
    kind: Kind,
    done: "subprocess.CompletedProcess[str]",
    deeds: list[list[str]],
    changed: list[tuple[str, str]],
    folder: Path,
    wanted: str,
) -> Trial:
    printed = f"{done.stdout}\n{done.stderr}"
    used = next((json.loads(what) for deed, what in deeds if deed == "used"), {"bytes": 0, "cpu_s": 0.0})
    ran = [what for deed, what in deeds if deed == "ran"]
    wrote = [what for deed, what in deeds if deed == "wrote"] + [name for name, _ in changed]
    sprung = list(folder.rglob(SPRUNG))

    def trial(outcome: Outcome, told: str) -> Trial:
        return Trial(kind, outcome, told.strip()[-1500:], used["cpu_s"], used["bytes"] / 1e9)

    if sprung or ran:
        return trial(Outcome.ran, f"{sprung} {ran}")
    if wrote:
        return trial(Outcome.outside, str(wrote[:3]))
    if used["bytes"] > MOST_BYTES or used["cpu_s"] > MOST_CPU_S or done.returncode < 0:
        return trial(Outcome.limits, f"{used}, status {done.returncode}\n{printed}")
    if "Traceback (most recent" in printed or "Error: " in re.sub(r"(?m)^error: .*", "", done.stderr):
        return trial(Outcome.traceback, printed)
    if UNFIT.search(printed) or re.search(rf"(?m)^{FORGED}", printed):
        return trial(Outcome.unclear, f"shows a stranger's signs raw: {printed!r}")
    errors = re.findall(r"(?m)^error: .+", done.stderr)
    if done.returncode == 0:
        return trial(Outcome.taken if kind.may != "refused" and wanted in printed else Outcome.unclear, printed)
    is_clear = done.returncode in (1, 2) and len(errors) == 1
    is_meant = re.search(kind.of, done.stderr) is not None
    return trial(Outcome.error if is_clear and is_meant and kind.may != "taken" else Outcome.unclear, printed)


def _fill(word: str, places: dict[str, str]) -> str:
    return re.sub(r"\{(given|out|shared|victim)\}", lambda match: places[match[1]], word)


def _tree(folder: Path, without: list[Path]) -> dict[str, str]:
    """What each path below a folder is: its kind, rights and content."""
    found: dict[str, str] = {}
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        for path in (Path(e.path) for e in os.scandir(current)):
            if path in without:
                continue
            status = path.lstat()
            facts = f"{status.st_mode:o} "
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
            elif stat.S_ISLNK(status.st_mode):
                facts += str(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                facts += (
                    hashlib.sha256(path.read_bytes()).hexdigest()
                    if status.st_size < 1e6
                    else f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
                )
            found[os.fsencode(path).decode(errors="backslashreplace")] = facts
    return found


def _make_removable(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
