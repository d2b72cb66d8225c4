"""The endless order in which samples are shown, as a pure function of the seed and the position."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from spritelora.diffusion.draws import sample_order


@dataclass(frozen=True)
class DataOrder:
    """Passes over the sprites to train on and, among them, passes over those that regularise.

    `repeats`: of each sprite to train on, how often a pass shows it. `regularising`: the same of those whose places
    come after; where there are any, one of their samples follows every `every` samples of the others. Each of both is
    shuffled anew for each of its passes.
    """

    repeats: Sequence[int]
    regularising: Sequence[int] = ()
    every: int = 1

    def place(self, seed: int, position: int) -> int:
        """The place of the sprite that a position shows."""
        if not self.regularising:
            return _shuffled(self.one_pass, seed, "order", position)
        number, slot = divmod(position, self.every + 1)
        if slot < self.every:
            return _shuffled(self.one_pass, seed, "order", number * self.every + slot)
        return _shuffled(self._regularising_pass, seed, "regularisation order", number)

    @cached_property
    def one_pass(self) -> list[int]:
        """The place of each sample of a pass over the sprites to train on, before it is shuffled."""
        return _repeated(self.repeats, 0)

    @cached_property
    def _regularising_pass(self) -> list[int]:
        return _repeated(self.regularising, len(self.repeats))


def _repeated(repeats: Sequence[int], first: int) -> list[int]:
    return [first + i for i, n in enumerate(repeats) for _ in range(n)]


def _shuffled(one_pass: Sequence[int], seed: int, stream: str, number: int) -> int:
    epoch, at = divmod(number, len(one_pass))
    return one_pass[_order(seed, epoch, len(one_pass), stream)[at]]


@lru_cache(maxsize=4)  # of both passes the one that ends within a batch, and the next
def _order(seed: int, epoch: int, num_samples: int, stream: str) -> list[int]:
    return sample_order(seed, epoch, num_samples, stream).tolist()
