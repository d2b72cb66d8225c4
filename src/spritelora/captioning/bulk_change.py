"""One change of many captions: a text replaced, phrases taken out, phrases added."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import regex

from spritelora import limits
from spritelora.errors import ConfigError
from spritelora.sprites.captions.made_captions import missing_phrases, split_phrases
from spritelora.sprites.captions.sidecars import clean_caption
from spritelora.sprites.names import printable

SEARCH_S = 2.0
"""The longest search of a pattern in all captions together."""

RECURSION = re.compile(r"\(\?(R|[+-]?\d|&|P>)")
"""A pattern within itself, for which `regex` takes a gigabyte before its time is up."""


@dataclass(frozen=True)
class Edit:
    """A caption before and after a change."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class BulkChange:
    """A change, in the order of its fields. `find`: letter for letter, or a regular expression; None: nothing.

    `put`: in place of what is found; of a pattern, `\\1` in it is its first group. `remove`: whole phrases, between
    commas. `add`: phrases that a caption lacks, at its end or first. Raises ConfigError for what cannot be carried out.
    """

    find: str | None = None
    put: str = ""
    is_pattern: bool = False
    remove: str = ""
    add: str = ""
    add_first: bool = False

    def __post_init__(self) -> None:
        if not (self.find or split_phrases(self.remove) or split_phrases(self.add)):
            raise ConfigError(
                "nothing to change: give find= and put=, remove= or add=, such as find=potion put=flask or "
                'add="16-bit style"'
            )
        _ = self._pattern  # its mistakes are answered at once

    def captions(self, captions: Mapping[str, str]) -> tuple[list[Edit], list[str]]:
        """The captions that change, and what is wrong with others of them: those stay as they are.

        Raises ConfigError for a pattern that takes too long.
        """
        edits: list[Edit] = []
        problems: list[str] = []
        until = time.monotonic() + SEARCH_S
        for name, before in captions.items():
            try:
                changed = self._changed(before, until)
                after = clean_caption(changed) if changed != before else before
            except ValueError as error:
                problems.append(f"{printable(name)}: left as it is: the caption would be one that {error}")
                continue
            if not after:
                problems.append(f"{printable(name)}: left as it is: nothing would be left of '{printable(before)}'")
            elif after != before:
                edits.append(Edit(name, before, after))
        return edits, problems

    @cached_property
    def _pattern(self) -> "regex.Pattern[str] | None":
        if not self.find:
            return None
        if not self.is_pattern:
            return regex.compile(regex.escape(self.find))
        try:
            limits.PATTERN_LETTERS.check(len(self.find), key="find")
            if RECURSION.search(self.find):
                raise ValueError("it holds itself")
            return regex.compile(self.find)
        except (regex.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
            raise ConfigError(
                f"find: '{printable(self.find)[:80]}' is no pattern that can be searched ({error}); correct it, or "
                f"find it letter for letter, without pattern=true"
            ) from error

    def _changed(self, caption: str, until: float) -> str:
        """A caption after the change. Raises ValueError where it becomes too long."""
        text = self._replaced(caption, until)
        gone = {phrase.casefold() for phrase in split_phrases(self.remove)}
        phrases = split_phrases(text)
        kept = [phrase for phrase in phrases if phrase.casefold() not in gone]
        if len(kept) < len(phrases) or (text != caption and len(phrases) < text.count(",") + 1):
            text = ", ".join(kept)
        added = missing_phrases(split_phrases(self.add), kept)
        if not added:
            return text
        rest = [text.strip(" ,")] if kept else []
        return ", ".join([*added, *rest] if self.add_first else [*rest, *added])

    def _replaced(self, caption: str, until: float) -> str:
        if self._pattern is None:
            return caption
        length = len(caption)

        def put(match: "regex.Match[str]") -> str:
            nonlocal length
            text = match.expand(self.put) if self.is_pattern else self.put
            length += len(text)
            limits.CAPTION_BYTES.check(length)
            return text

        try:
            return self._pattern.sub(put, caption, timeout=max(until - time.monotonic(), 0.001))
        except (TimeoutError, MemoryError) as error:
            raise ConfigError(
                f"find: the search for '{printable(self.find)[:80]}' takes over {SEARCH_S:g} s; write a simpler "
                f"pattern, without repeats of repeats"
            ) from error
        except (regex.error, IndexError) as error:
            raise ConfigError(
                f"put: '{printable(self.put)[:80]}' does not go with the groups of find ({error}); a backslash is "
                f"written twice, and \\1 is the first group in brackets"
            ) from error
