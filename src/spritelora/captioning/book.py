"""The captions of a set while they are edited: what is on disk, what is wrong with it, and saving without loss."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spritelora.errors import DatasetError
from spritelora.sprites.findings import Finding
from spritelora.sprites.folder.caption_files import (
    caption_version,
    is_read_only,
    one_line,
    read_caption,
    read_set_to_mend,
    side_car,
    write_caption,
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
