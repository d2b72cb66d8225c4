"""Standard output and standard error, which a terminal, a pipe or nobody may read."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from spritelora.shown import harmless

ERROR = "error: "
"""The start of a command's last message: no progress bar is drawn in it."""


def say(text: str) -> None:
    """Write a line to standard output."""
    print(text)  # noqa: T201


def complain(text: str) -> None:
    """Write a line to standard error at once."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


class LastingStream:
    """A text stream that writes what its encoding has not, and what a terminal would obey, as escapes.

    It outlives its reader.

    `ends_command`: whether the command ends with its reader. What is said on standard output is what was asked for, so
    that without a reader (`| head`) there is nothing left to do; standard error only goes along with the work.
    """

    def __init__(self, stream: TextIO, ends_command: bool) -> None:
        self._stream, self._ends_command = stream, ends_command
        with suppress(AttributeError, ValueError):  # a stream of another program that runs this one, as pytest
            cast(Any, stream).reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        try:
            is_drawn_on = not self._ends_command and not text.startswith(ERROR)
            self._stream.write(harmless(text, is_drawn_on))
        except OSError as error:
            self._lose_reader(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose_reader(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose_reader(self, error: OSError) -> None:
        with suppress(OSError, ValueError):  # what is still in the stream's buffer would fail again at the end
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if not self._ends_command:
            return
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # EINVAL: a closed pipe on Windows
            complain(f"{ERROR}standard output cannot be written ({error.strerror})")
        raise SystemExit(1)


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Standard streams on which no message ends in a traceback, whatever is at their other end, for the block."""
    _fill_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, LastingStream(_opened(sys.stdout), ends_command=True))
    sys.stderr = cast(TextIO, LastingStream(_opened(sys.stderr), ends_command=False))
    try:
        yield
        sys.stdout.flush()
    finally:
        with suppress(SystemExit):
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


def _fill_descriptors() -> None:
    """Open descriptors 0 to 2 where they are closed (`>&-`): the next file opened would else be written to as one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _opened(stream: TextIO | None) -> TextIO:
    """A stream, or one to nowhere in place of a closed one."""
    return stream if stream is not None else Path(os.devnull).open("w", encoding="utf-8")
