"""Processes of one machine that share each step of a training of the base."""

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, distributed

from spritelora.errors import TrainingError

ENDED_WITHIN_S = 30
"""Others that are done end by then."""


@contextmanager
def joined_by(num_others: int, task: Callable[[], object]) -> Iterator[None]:
    """While the block runs, so many other processes run `task`, which can be pickled; all share their steps.

    Raises TrainingError where one of them ends too early.
    """
    if num_others == 0:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="spritelora-", ignore_cleanup_errors=True) as folder:
        store, total = str(Path(folder) / "store"), num_others + 1
        spawned = multiprocessing.get_context("spawn")
        others = [spawned.Process(target=_run, args=(task, n, total, store), daemon=True) for n in range(1, total)]
        for other in others:
            other.start()
        try:
            with _member(0, total, store):
                yield
        except RuntimeError as error:  # gloo's, where a process is lost
            for other in others:
                other.join(1)
            lost = [number for number, other in enumerate(others, 1) if other.exitcode]
            if not lost:
                raise
            raise TrainingError(
                f"processes={total}: process {lost[0]} ended; what it printed stands above. The same command goes on "
                f"from the last saved state; take fewer processes where memory is short"
            ) from error
        finally:
            for other in others:
                other.join(ENDED_WITHIN_S)
                other.terminate()


def _run(task: Callable[[], object], number: int, total: int, store: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    with _member(number, total, store):
        task()


@contextmanager
def _member(number: int, total: int, store: str) -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.FileStore(store, total), rank=number, world_size=total)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def num_processes() -> int:
    """The number of processes that share a step."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Give every process the mean of all processes' gradients."""
    if num_processes() == 1:
        return
    gradients = [value.grad for value in parameters if value.grad is not None]
    packed = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(packed)
    packed /= num_processes()
    for gradient, values in zip(gradients, packed.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(values.view(gradient.shape))


def any_of(is_true: bool) -> bool:
    """The logical or of all processes' values."""
    if num_processes() == 1:
        return is_true
    flag = torch.tensor(int(is_true))
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag)


def mean_of(value: float) -> float:
    """The mean of all processes' values."""
    if num_processes() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(total)
    return total.item() / num_processes()
