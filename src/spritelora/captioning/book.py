"""The captions of a set while they are edited: what is on disk, what is wrong with it, and saving without loss."""

import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from spritelora.captioning.bulk_change import BulkChange, Edit
from spritelora.errors import DatasetError
from spritelora.sprites.findings import Finding
from spritelora.sprites.folder.caption_files import (
    caption_version,
    check_writable,
    is_read_only,
    one_line,
    read_caption,
    read_set_to_mend,
    side_car,
    write_caption,
    write_content,
)
from spritelora.sprites.folder.sources import Source

Lint = Callable[[Mapping[str, str | None]], list[Finding]]
Find = Callable[[Path], tuple[list[Source], dict[str, Finding]]]


@dataclass(frozen=True)
class Entry:
    """A sprite's caption as it is on disk.

    `version`: fingerprint of its file, to be given back when it is saved. `writable`: false where the caption comes
    from a file of another kind, such as `metadata.jsonl`, and where its own is read-only.
    """

    name: str
    caption: str | None
    version: str
    writable: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Saved:
    """A caption that was written: the entry now, and the other entries whose findings changed with it."""

    entry: Entry
    others: tuple[Entry, ...]


@dataclass(frozen=True)
class Conflict:
    """A caption that was not written, for its file is no longer what the editor saw. `entry`: as it is now."""

    entry: Entry


@dataclass(frozen=True)
class Outcome:
    """The captions that a change of many made others, or would; what is wrong with the rest, which is as it was.

    `entries`: all whose caption or findings are other than before.
    """

    edits: tuple[Edit, ...]
    problems: tuple[str, ...]
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class _Old:
    """A caption file before a change of many, and its version after it."""

    name: str
    content: bytes
    version: str


class CaptionBook:
    """All captions of a folder, for one editor; calls from several threads wait for each other.

    `find`: what finds the sprites of a folder, and what is wrong with text files of theirs.
    """

    def __init__(self, folder: Path, lint: Lint, find: Find = read_set_to_mend) -> None:
        self.folder = folder
        self._find = find
        self._problems: dict[str, Finding] = {}
        self._lint = lint
        self._lock = threading.Lock()
        self._sources: dict[str, Source] = {}
        self._captions: dict[str, str | None] = {}
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._steps: list[list[_Old]] = []

    @property
    def num_undoable(self) -> int:
        """The changes of many captions that can be taken back, the last one first."""
        return len(self._steps)

    def read(self) -> list[Entry]:
        """Every sprite as it is on disk now. Raises DatasetError as `read_set_to_mend`."""
        with self._lock:
            sources, self._problems = self._find(self.folder)
            self._sources = {source.name: source for source in sources}
            self._captions = {source.name: source.caption for source in sources}
            for name in self._problems:
                self._captions[name] = read_caption(self._writable_file(name))
            self._findings = self._check()
            return [self._entry(name) for name in self._sources]

    def image_file(self, name: str) -> Path | None:
        """The file of a sprite that `read` found; None for any other name."""
        source = self._sources.get(name)
        return source.file if source else None

    def save(self, name: str, caption: str, version: str) -> Saved | Conflict:
        """Write a caption, unless its file changed since `version`.

        Raises DatasetError for an unknown sprite, for one whose caption is not a text file, and where writing fails.
        """
        with self._lock:
            file = self._writable_file(name)
            if caption_version(file) != version:
                self._captions[name] = read_caption(file)
                self._findings = self._check()
                return Conflict(self._entry(name))
            write_caption(file, caption)
            before = self._findings
            self._captions[name] = one_line(caption)
            self._problems.pop(name, None)
            self._findings = self._check()
            others = [n for n in self._sources if n != name and self._findings.get(n) != before.get(n)]
            return Saved(self._entry(name), tuple(self._entry(n) for n in others))

    def change_many(self, versions: Mapping[str, str], change: BulkChange, dry_run: bool = False) -> Outcome:
        """Change the captions of the sprites named, but for those whose file changed since its version.

        With `dry_run` nothing is written. Raises ConfigError as `BulkChange.captions`.
        """
        with self._lock:
            before = dict(self._captions)
            stale = {n for n, version in versions.items() if n in self._sources and not self._is_at(n, version)}
            named = {n: text for n in versions if (text := self._captions.get(n))}
            edits, problems = change.captions({n: text for n, text in named.items() if n not in stale})
            problems += [_changed_meanwhile(name) for name in versions if name in stale]
            made: list[Edit] = []
            step: list[_Old] = []
            for edit in edits:
                try:
                    step += self._make(edit, dry_run)
                    made.append(edit)
                except (DatasetError, OSError) as error:
                    problems.append(str(error))
            self._steps += [step] if step else []
            return Outcome(tuple(made), tuple(problems), self._changed_since(before, stale))

    def undo(self) -> Outcome:
        """Take back the last change of many: each file has its bytes of before, but for those changed since."""
        with self._lock:
            before = dict(self._captions)
            edits: list[Edit] = []
            problems: list[str] = []
            left: list[_Old] = []
            for old in self._steps.pop() if self._steps else ():
                try:
                    if self._take_back(old):
                        edits.append(Edit(old.name, before[old.name] or "", self._captions[old.name] or ""))
                    else:
                        problems.append(_changed_meanwhile(old.name))
                except DatasetError as error:
                    problems.append(str(error))
                    left.append(old)
            self._steps += [left] if left else []
            return Outcome(tuple(edits), tuple(problems), self._changed_since(before, ()))

    def _make(self, edit: Edit, dry_run: bool) -> list[_Old]:
        """Write one caption of a change of many; with `dry_run` see whether it can be written."""
        file = self._writable_file(edit.name)
        if edit.name in self._problems:
            raise DatasetError(
                f"{edit.name}: its file cannot be read as a caption, and is left so; mend it by hand first"
            )
        check_writable(file)
        if dry_run:
            return []
        content = file.read_bytes()
        write_caption(file, edit.after)
        self._captions[edit.name] = edit.after
        return [_Old(edit.name, content, caption_version(file))]

    def _take_back(self, old: _Old) -> bool:
        """Give a file its content of before, unless another changed it since."""
        file = self._writable_file(old.name)
        if caption_version(file) != old.version:
            return False
        write_content(file, old.content)
        self._captions[old.name] = read_caption(file)
        return True

    def _is_at(self, name: str, version: str) -> bool:
        """Tell whether a caption's file is at a version; where it is not, read its caption again."""
        file = side_car(self._sources[name])
        if file is None or caption_version(file) == version:
            return True
        self._captions[name] = read_caption(file)
        return False

    def _changed_since(self, before: Mapping[str, str | None], names: Container[str]) -> tuple[Entry, ...]:
        """The entries whose caption or findings are other than before, and those of `names`."""
        findings, self._findings = self._findings, self._check()
        captions = self._captions
        return tuple(
            self._entry(n)
            for n in self._sources
            if n in names or captions[n] != before.get(n) or self._findings.get(n) != findings.get(n)
        )

    def _writable_file(self, name: str) -> Path:
        source = self._sources.get(name)
        if source is None:
            raise DatasetError(f"{name}: no such sprite in {self.folder}; load the page again")
        file = side_car(source)
        if file is None:
            raise DatasetError(
                f"{name}: its caption comes from a file of another kind, which is not changed; edit that"
            )
        return file

    def _check(self) -> dict[str, tuple[Finding, ...]]:
        grouped: dict[str, list[Finding]] = {}
        for finding in [*self._problems.values(), *self._lint(self._captions)]:
            grouped.setdefault(finding.file, []).append(finding)
        return {name: tuple(found) for name, found in grouped.items()}

    def _entry(self, name: str) -> Entry:
        file = side_car(self._sources[name])
        version = caption_version(file) if file else ""
        is_writable = file is not None and not is_read_only(file)
        return Entry(name, self._captions[name], version, is_writable, self._findings.get(name, ()))


def _changed_meanwhile(name: str) -> str:
    return f"{name}: changed on disk meanwhile, and left so"
