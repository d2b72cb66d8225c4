"""The progress of long work: a bar in a terminal, a line a minute in a log, and how long it will take."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from spritelora.program import typed
from spritelora.shown import counted, duration

if TYPE_CHECKING:
    from tqdm import tqdm

Made = TypeVar("Made")

log = logging.getLogger(__name__)

TOLD_EVERY_S = 60.0


@contextmanager
def going_on(command: str, words: Sequence[str]) -> Iterator[None]:
    """Says, where the block is stopped by Ctrl-C or SIGTERM, that the command typed again goes on from what is done.

    `command`: its name. `words`: what was typed after it.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        log.warning("stopped; what is done is kept. To continue, type: %s", typed(command, *words))
        raise


class Progress:
    """The progress of making things of one kind, as images; the time for all is told once a pace can be measured."""

    def __init__(self, total: int, unit: str, doing: str, settles_s: float = 0.0) -> None:
        """`unit`: one of them, as "image". `doing`: what is being done, as "drawing".

        `settles_s`: seconds of which the pace is taken, where things are quick, or come in bursts from processes.
        """
        self.total, self.unit, self.doing = total, unit, doing
        self.done = 0.0
        self._bar: tqdm[Any] | None = None
        self._settles_s = settles_s
        self._first: tuple[float, float] | None = None
        self._has_told_time = False
        self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        from tqdm import tqdm  # commands that are refused do not load it

        self._bar = tqdm(total=self.total, unit=self.unit, desc=self.doing, leave=False, disable=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def skip(self, count: int) -> None:
        """Some were there already."""
        self._move(count)

    def advance(self, amount: float) -> None:
        """Work on so many was done; a part of one counts too, as a step of many that an image takes."""
        now = time.monotonic()
        self._move(amount)
        if self._first is None:  # what comes first warms up
            self._first = now, self.done
        elif not self._has_told_time and now - self._first[0] >= self._settles_s:
            self._has_told_time = True
            log.info("%s %s: about %s", self.doing, counted(self.total, self.unit), duration(self._left_s(now)))
        elif self._has_told_time and now - self._told_at >= TOLD_EVERY_S and not sys.stderr.isatty():
            self._told_at = now
            log.info("%d of %s, about %s left", self.done, counted(self.total, self.unit), duration(self._left_s(now)))

    def each(self, made: Iterable[Made]) -> Iterator[Made]:
        """The same things, each counted as it comes."""
        for one in made:
            yield one
            self.advance(1)

    def _move(self, amount: float) -> None:
        self.done = min(self.done + amount, float(self.total))
        if self._bar is not None:
            self._bar.update(int(self.done + 1e-6) - self._bar.n)

    def _left_s(self, now: float) -> float:
        started, begun_with = self._first or (now, self.done)
        pace_s = (now - started) / max(self.done - begun_with, 1e-9)
        return pace_s * (self.total - self.done)
