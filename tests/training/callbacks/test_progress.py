"""The clock of training: pauses are no part of it, and the wait for a batch is told apart."""

import time

import pytest

from spritelora.training.callbacks.progress import Clock


def test_pauses_are_left_out_and_waits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock()
    for waited_s, computed_s, paused_s in ((1.0, 4.0, 32.0), (2.0, 8.0, 64.0)):
        now[0] += waited_s
        clock.begin_pass()
        now[0] += computed_s
        with clock.paused():
            now[0] += paused_s
        clock.end_pass()
    assert (clock.elapsed_s, clock.waited_s) == (15.0, 3.0)
    with clock.paused():
        now[0] += 128.0
    clock.begin_pass()
    assert (clock.elapsed_s, clock.waited_s) == (15.0, 3.0)
    clock.restart()
    assert (clock.elapsed_s, clock.waited_s) == (0.0, 0.0)
