"""What strangers wrote speaks to no terminal, and begins no line, wherever it is shown."""

import io
import logging

import pytest

from spritelora.door.job_logging import JOB_LOGGING, Lines
from spritelora.errors import WeightsError
from spritelora.shown import OBEYED, counted, harmless, paragraph, printable
from spritelora.streams import LastingStream

EVIL = "\x1b]0;title\x07 \x1b[2J \x9b31m \u202egnp \u2028FORGED \x85 \r\x7f"


@pytest.mark.parametrize("show", [printable, paragraph, harmless])
def test_no_sign_that_a_terminal_obeys_is_left(show: object) -> None:
    shown = show(f"caf\u00e9 \u5263 {EVIL}")  # pyright: ignore
    assert OBEYED.search(shown) is None
    assert shown.startswith("caf\u00e9 \u5263 \\x1b]0;title\\x07 ")
    assert "\\u2028FORGED" in shown


def test_only_the_first_line_of_a_message_begins_one() -> None:
    assert paragraph("a\nFORGED b\n  c\n\nd") == "a\n  FORGED b\n  c\n\n  d"
    assert printable("a\nFORGED") == "a\\nFORGED"


def test_an_error_is_fit_to_be_shown_whoever_shows_it() -> None:
    error = WeightsError(f"{EVIL}\nFORGED error: all is lost")
    assert OBEYED.search(str(error)) is None
    assert "\n  FORGED" in f"error: {error}"
    assert str(WeightsError(f"not so: {error}")) == f"not so: {error}", "it is escaped once"


def test_a_line_of_the_log_is_one_message() -> None:
    assert {f["class"] for f in JOB_LOGGING["formatters"].values()} == {"spritelora.door.job_logging.Lines"}
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines("%(levelname)s %(message)s"))
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s is read", (f"{EVIL}\nFORGED",), None)
    handler.emit(record)
    assert stream.getvalue().count("\n") == 2
    assert "\n  FORGED is read\n" in stream.getvalue()
    assert OBEYED.search(stream.getvalue()) is None


def test_standard_output_says_nothing_to_a_terminal_and_bars_can_still_be_drawn() -> None:
    bar = "\r 50% \x1b[A\x1b[K"
    for ends_command, expected in ((True, harmless(bar)), (False, bar)):
        stream = io.StringIO()
        told = LastingStream(stream, ends_command).write(bar)
        assert (told, stream.getvalue()) == (len(bar), expected)
    stream = io.StringIO()
    LastingStream(stream, ends_command=False).write(EVIL)
    assert OBEYED.search(stream.getvalue().replace("\r", "")) is None
    LastingStream(stream, ends_command=False).write(f"error: {bar} {EVIL}")
    assert OBEYED.search(stream.getvalue().partition("error: ")[2]) is None


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, "sprite", "0 sprites"), (1, "sprite", "1 sprite"), (2, "pass", "2 passes"), (1200, "layer", "1,200 layers")],
)
def test_things_are_counted_in_the_singular_and_the_plural(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
