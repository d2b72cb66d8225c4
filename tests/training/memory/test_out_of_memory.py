"""Where memory runs out the message has numbers: what was asked for, what was free, and what three settings save."""

import re
import resource
from pathlib import Path

import pytest
import torch

from spritelora.errors import TrainingError
from spritelora.training.memory.out_of_memory import asked_gb, explain_out_of_memory, memory_now, telling_of_memory

CPU = torch.device("cpu")


def test_the_numbers_of_both_allocators_are_read() -> None:
    gpu = RuntimeError(
        "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which"
    )
    assert asked_gb(gpu) == pytest.approx(1.5 * 2**30 / 1e9)
    assert asked_gb(RuntimeError("Tried to allocate 20.00 MiB. GPU")) == pytest.approx(20 * 2**20 / 1e9)
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    assert asked_gb(refused.value) == pytest.approx(2**60 / 1e9)
    assert asked_gb(MemoryError()) is None


def test_before_the_parts_are_known_the_message_stands_without_them() -> None:
    free_gb, held_gb = memory_now(CPU)
    assert 0 < held_gb < 64 > 0 < free_gb
    message = explain_out_of_memory(MemoryError(), CPU)
    assert re.fullmatch(
        r"out of memory: more was needed, .* were free, the run held .*; close what else uses.*", message
    )


def test_memory_that_runs_out_is_told_with_what_would_help_and_other_errors_are_left() -> None:
    message = r"helps most: trainer\.batch_size=1 \(saves about 2 GB\)"
    with pytest.raises(TrainingError, match=message), telling_of_memory(CPU, lambda: [("trainer.batch_size=1", 2.0)]):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="another"), telling_of_memory(CPU, lambda: pytest.fail("not asked")):
        raise RuntimeError("another")


@pytest.mark.slow  # its limit on memory is met elsewhere in a process that has run other tests
def test_a_run_that_needs_more_than_there_is_says_what_would_help(train_quickly) -> None:
    """A limit on this process's memory stands in for a small machine."""
    train_quickly("trainer.max_steps=1", name="warm")  # so that libraries and caches are in memory already
    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size + 200_000_000, limits[1]))
    try:
        with pytest.raises(TrainingError) as ended:
            train_quickly("trainer.max_steps=1", "trainer.batch_size=96")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    told = str(ended.value)
    assert re.match(
        r"out of memory: ([\d.]+ [GM]B more were|more was) needed, [\d.]+ [GM]B were free, the run held", told
    )
    named = re.findall(r"([\w.]+=\w+) \(saves about ([\d.]+) ([GM]B)\)", told)
    assert len(named) == 3, told
    assert {"hardware.gradient_checkpointing=true", "trainer.batch_size=1"} <= {name for name, _, _ in named}
