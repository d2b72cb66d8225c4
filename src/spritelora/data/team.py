"""The processes of one run together: what they tell one another. A run of one process is a team of one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist

from spritelora.config.train.processes import Place
from spritelora.errors import SpriteLoraError

T = TypeVar("T")


class Team:
    """All processes make the same calls in the same order. `group`: of torch.distributed, on the CPU."""

    def __init__(self, place: Place | None = None, group: dist.ProcessGroup | None = None) -> None:
        self.place, self.group = place or Place(), group
        self.has_failed = False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.place.rank == 0

    @property
    def size(self) -> int:
        """The number of processes."""
        return self.place.size

    def meet(self, value: T, error: SpriteLoraError | None = None) -> list[T]:
        """Wait for all; returns what each has brought, by rank.

        Where one has brought an error, the first process raises it and the others end.
        """
        told: list[Any] = [(value, error)] * self.size
        if self.size > 1:
            dist.all_gather_object(told, (value, error), group=self.group)
        for rank, (_, failure) in enumerate(told):
            if failure is not None:
                self._fail(rank, failure)
        return [value for value, _ in told]

    def share(self, value: T) -> T:
        """The first process's value."""
        return self.meet(value)[0]

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that succeeds in all processes or fails in all."""
        try:
            yield
        except SpriteLoraError as error:
            if not self.has_failed:
                self.meet(None, error)
            raise
        self.meet(None)

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        return self._reduced(numbers, dist.ReduceOp.SUM)

    def largest(self, number: float) -> float:
        """The largest of all processes' numbers."""
        return self._reduced([number], dist.ReduceOp.MAX)[0]

    def _reduced(self, numbers: Sequence[float], operation: Any) -> list[float]:
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, operation, group=self.group)
        return tensor.tolist()

    def _fail(self, rank: int, failure: SpriteLoraError) -> NoReturn:
        self.has_failed = True
        if not self.is_first:
            raise SystemExit(0)  # the first one's exit status is the run's, and who ends before it would end it
        raise failure if rank == 0 else type(failure)(f"process {rank}: {failure}")
