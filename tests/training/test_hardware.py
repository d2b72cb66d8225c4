"""What a job leaves behind in its process: signals, threads and peak memory are the next one's again."""

import signal

import pytest
import torch

from spritelora.config.train.processes import Place
from spritelora.data.team import Team
from spritelora.training.callbacks import checkpoints
from spritelora.training.callbacks.checkpoints import StopRequest
from spritelora.training.hardware import cpu_threads, is_out_of_memory, peak_memory_gb, reset_peak_memory

CPU = torch.device("cpu")


def test_signals_go_back_to_whoever_had_them() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop = StopRequest()
    stop.listen()
    signal.raise_signal(signal.SIGTERM)
    assert stop.status == 128 + signal.SIGTERM
    with pytest.raises(SystemExit) as at_once:
        signal.raise_signal(signal.SIGINT)
    assert at_once.value.code == 130
    stop.release()
    stop.release()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_of_several_processes_a_signal_that_comes_twice_is_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Slurm, which sends it to all, and from the process that started them."""
    stop = StopRequest(Team(Place(size=2, local_size=2)))
    stop.listen()
    try:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert stop.received == 143
        monkeypatch.setattr(checkpoints, "SAME_REQUEST_S", 0.0)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    finally:
        stop.release()


def test_threads_are_the_jobs_own() -> None:
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with cpu_threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_the_peak_is_that_since_the_reset() -> None:
    large = torch.ones(50_000_000)
    high = peak_memory_gb(CPU)
    del large
    reset_peak_memory(CPU)
    assert peak_memory_gb(CPU) < high - 0.1


def test_out_of_memory_is_known_on_a_cpu_too() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
