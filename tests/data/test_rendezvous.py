"""Processes that wait for others say for whom, end in time, and obey signals; those that come late are met."""

import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from types import FrameType

import pytest

from spritelora.config.train.processes import Place
from spritelora.data.rendezvous import Wait, meet, on_thread, ranks
from spritelora.errors import TrainingError


@pytest.fixture
def place() -> Place:
    """The first of two processes, at a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Place(0, 2, 0, 2, port=probe.getsockname()[1])


def second(place: Place) -> Place:
    return replace(place, rank=1, local_rank=1)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_comes_late_is_met(place: Place, rank: int) -> None:
    """Whichever comes first; it says the one line that tells for whom it waited."""
    first, late = (place, second(place)) if rank == 0 else (second(place), place)
    told: list[str] = []
    stores: list[object] = []
    thread = threading.Thread(target=lambda: stores.append(meet(late, Wait("20s", told.append))))
    threading.Timer(0.6, thread.start).start()
    stores.append(meet(first, Wait("20s", told.append, tell_after_s=0.1)))
    thread.join(10)
    assert len(stores) == 2
    (line,) = told
    whom = "rank 1 of 2 to come to" if rank == 0 else "the first process, rank 0 of 2, at"
    assert line.startswith(f"rank {rank} of 2 is waiting for {whom} 127.0.0.1:{place.port}")
    assert line.endswith("after 20s the run ends")


@pytest.mark.parametrize("rank", [0, 1])
def test_who_does_not_come_is_named_at_the_end(place: Place, rank: int) -> None:
    alone = place if rank == 0 else second(place)
    whom = "rank 1 of 2 to come to" if rank == 0 else "the first process, rank 0 of 2, at"
    began = time.monotonic()
    with pytest.raises(
        TrainingError, match=rf"^waited 1s for {whom} 127\.0\.0\.1:{place.port}.*hardware\.join_timeout="
    ):
        meet(alone, Wait("1s", print, started=began))
    assert 1 < time.monotonic() - began < 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_signals_are_obeyed_while_waiting(
    place: Place, rank: int, number: signal.Signals, raised: type[BaseException]
) -> None:
    def end(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, end)
    try:
        began = time.monotonic()
        threading.Timer(0.5, lambda: os.kill(os.getpid(), number)).start()
        with pytest.raises(raised):
            meet(place if rank == 0 else second(place), Wait("30s", print))
        assert time.monotonic() - began < 3
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
def test_signals_are_obeyed_while_something_blocks() -> None:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        on_thread(lambda: time.sleep(5))
    assert time.monotonic() - began < 3
    assert on_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        on_thread(lambda: 1 / 0)


def test_a_port_that_is_taken_is_named(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("", place.port))
        other.listen()
        with pytest.raises(TrainingError, match=rf"port {place.port} of this machine.*set MASTER_PORT to a free one"):
            meet(place, Wait("30s", print))


@pytest.mark.parametrize(("numbers", "words"), [([1], "rank 1"), ([1, 3, 4, 5], "ranks 1, 3-5"), ([0, 1], "ranks 0-1")])
def test_ranks_in_words(numbers: list[int], words: str) -> None:
    assert ranks(numbers) == words
