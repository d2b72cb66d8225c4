"""A folder this program fills: every file whole or absent, its own files known, nobody else's touched."""

import contextlib
import hashlib
import json
import os
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from spritelora.errors import DatasetError, first_line
from spritelora.files import JsonObject, is_below, linked_parts, replace
from spritelora.locks import LockedError, held
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import printable

PRIVATE = ".prepare"
STATE = f"{PRIVATE}/state.json"
JOURNAL = f"{PRIVATE}/journal"
LOCK = f"{PRIVATE}/lock"
MOST_NAMED = 5


@dataclass(frozen=True)
class State:
    """The record that a finished run leaves.

    `files`: name to SHA-256 of each file written. `kept`: of captions that others wrote, or nobody (None).
    """

    fingerprint: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    kept: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    findings: tuple[Finding, ...] = ()


def sha256_of(file: Path) -> str | None:
    """The SHA-256 of a file's bytes, None where there is no such file."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_state(folder: Path) -> State:
    """The state of the last finished run; an empty one where there is none. Raises DatasetError for a damaged one."""
    check_own(folder, ())
    try:
        data: object = json.loads((folder / STATE).read_text(encoding="utf-8"))
        state = _state(cast(JsonObject, data))
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{folder / STATE}: cannot be read ({first_line(error)}); prepare into a new folder"
        ) from error
    _check_names(folder / STATE, {**state.files, **state.kept})
    return state


def _state(data: Mapping[str, Any]) -> State:
    """The state in a file. Raises TypeError and others where it has another form."""
    findings = tuple(Finding(_text(f[0]), Severity(f[1]), _text(f[2]), _text(f[3])) for f in data["findings"])
    files = {_text(name): _text(sha256) for name, sha256 in data["files"].items()}
    kept = {_text(name): sha256 if sha256 is None else _text(sha256) for name, sha256 in data["kept"].items()}
    return State(_text(data["fingerprint"]), files, kept, findings)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def read_ledger(folder: Path, state: State) -> dict[str, set[str]]:
    """Every file that runs wrote here, finished or not, with the hashes of what they wrote.

    Raises DatasetError for names that lead out of the folder.
    """
    ledger = {name: {sha256} for name, sha256 in state.files.items()}
    journal = folder / JOURNAL
    if journal.is_file():
        for line in filter(None, journal.read_text(encoding="utf-8", errors="replace").split("\n")):
            sha256, is_whole, name = line.partition(" ")
            if is_whole and name:
                ledger.setdefault(name, set()).add(sha256)
    _check_names(journal, ledger)
    return ledger


def check_own(folder: Path, names: Iterable[str]) -> None:
    """Raise DatasetError where something on the way to a file below the folder, or to what prepare keeps, is a link."""
    ways = {PurePosixPath(name).parent.as_posix() for name in names}
    if links := linked_parts(folder, [STATE, JOURNAL, LOCK, *ways]):
        raise DatasetError(
            f"{folder}: {', '.join(map(printable, links[:MOST_NAMED]))} is a link, and what prepare writes and removes "
            f"stays in its folder; replace it by what it links to, or prepare into a new folder"
        )


def _check_names(file: Path, names: Iterable[str]) -> None:
    if wrong := [name for name in names if not is_below(name)]:
        raise DatasetError(
            f"{file}: names {printable(wrong[0])}, which is no file below the folder; it was not written by prepare: "
            f"prepare into a new folder"
        )


def is_complete(folder: Path, state: State) -> bool:
    """Whether everything the last run wrote is there as it was, and no other run began since."""
    if (folder / JOURNAL).exists():
        return False
    return all(sha256_of(folder / name) == sha256 for name, sha256 in {**state.files, **state.kept}.items())


def foreign_files(folder: Path, names: Iterable[str], ledger: Mapping[str, set[str]]) -> list[str]:
    """Those of `names` that exist and are not as a run wrote them."""
    return [
        name
        for name in names
        if os.path.lexists(folder / name)
        and ((folder / name).is_symlink() or sha256_of(folder / name) not in ledger.get(name, set()))
    ]


@contextlib.contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Begin a run: make the folder, hold it against other runs, clear what a killed one left unfinished.

    Raises DatasetError where it cannot be written, or another run holds it.
    """
    with contextlib.ExitStack() as stack:
        check_own(folder, ())
        try:
            (folder / PRIVATE).mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder / LOCK))
            (folder / JOURNAL).touch()
        except LockedError as error:
            raise DatasetError(f"{folder}: another prepare is writing here; wait for it, or stop it") from error
        except OSError as error:
            raise DatasetError(cannot_write(folder, error)) from error
        for partial in (folder / PRIVATE).glob("partial.*"):
            partial.unlink(missing_ok=True)
        yield


def put_file(folder: Path, name: str, content: bytes) -> str:
    """Write a file whole or not at all, unless it is there already. Returns its SHA-256.

    The journal knows it before it appears, so that a run after a kill knows it for ours. Raises DatasetError.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    target, partial = folder / name, folder / PRIVATE / f"partial.{os.getpid()}"
    if sha256_of(target) == sha256:
        return sha256
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        with (folder / JOURNAL).open("ab", buffering=0) as journal:
            journal.write(f"{sha256} {name}\n".encode())
        replace(partial, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise DatasetError(cannot_write(target, error)) from error
    return sha256


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files of an earlier run, and the folders that this leaves empty."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
        with contextlib.suppress(OSError):
            (folder / name).parent.rmdir()


def finish(folder: Path, state: State) -> None:
    """Record a run as finished: the last thing it does."""
    findings = [(f.kind, f.severity.value, f.file, f.message) for f in state.findings]
    data = {"fingerprint": state.fingerprint, "files": state.files, "kept": state.kept, "findings": findings}
    put_file(folder, STATE, json.dumps(data).encode())
    (folder / JOURNAL).unlink()


def cannot_write(file: Path, error: OSError) -> str:
    """The error for a file that could not be written."""
    reason = error.strerror or type(error).__name__
    return f"{file}: cannot be written ({reason}); make room or give another output, then run the same command again"
