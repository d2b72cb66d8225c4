"""What long work says of itself: how long it will take, once that can be measured."""

import logging

import pytest

from spritelora.long_work import Progress, going_on
from spritelora.program import typed
from spritelora.shown import duration


def test_the_time_is_told_once_at_the_second_step(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Progress(8, "image", "drawing") as progress:
        progress.skip(2)
        progress.advance(0.5)
        assert caplog.messages == []
        for _ in range(11):
            progress.advance(0.5)
    assert progress.done == 8
    (told,) = caplog.messages
    assert told == "drawing 8 images: about 0 s"


def test_a_log_gets_a_line_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    clock = iter(range(0, 1000, 25))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    progress = Progress(10, "sprite", "captioning")
    for _ in range(9):
        progress.advance(1)
    assert caplog.messages == [
        "captioning 10 sprites: about 3 min 20 s",
        "3 of 10 sprites, about 2 min 55 s left",
        "6 of 10 sprites, about 1 min 40 s left",
        "9 of 10 sprites, about 25 s left",
    ]


def test_what_comes_in_bursts_is_told_once_its_pace_has_settled(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 files in bursts of 16, a burst every 4 s; of the next 200 files 168 are left, at 16 in 4 s."""
    caplog.set_level(logging.INFO)
    clock = iter([0.0, *(4.0 * (1 + number // 16) for number in range(32))])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress(200, "file", "reading", settles_s=3.0)
    assert list(progress.each(range(32))) == list(range(32))
    assert caplog.messages == ["reading 200 files: about 46 s"]


def test_a_stop_says_what_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    for stop in (KeyboardInterrupt(), SystemExit(143)):
        caplog.clear()
        with pytest.raises(type(stop)), going_on("prepare", ["input=art"]):
            raise stop
        assert f"what is done is kept. To continue, type: {typed('prepare', 'input=art')}" in caplog.text
    caplog.clear()
    with pytest.raises(ValueError, match="other"), going_on("prepare", []):
        raise ValueError("other")
    assert caplog.text == ""


def test_lengths_of_time_are_said_as_people_say_them() -> None:
    lengths = [duration(s) for s in (45, 130, 11100, 3 * 86400 - 60, 101.4 * 86400)]
    assert lengths == ["45 s", "2 min 10 s", "3 h 05 min", "71 h 59 min", "101 days"]
