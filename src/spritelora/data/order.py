"""The endless order in which samples are shown, as a pure function of the seed and the position."""

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from math import gcd

from spritelora.diffusion.draws import sample_order


@dataclass(frozen=True)
class Subject:
    """Sprites of which one is shown where another one could be: frames, views and recolours of a thing.

    `turn`: their places; all are shown before one comes again, each as often as it stands there. `times`: how often a
    pass shows any of them.
    """

    turn: Sequence[int]
    times: int = 1


@dataclass(frozen=True)
class DataOrder:
    """Passes over the subjects to train on and, among them, passes over those that regularise.

    `regularising`: where there are any, one sample of them follows every `every` samples of the others. Both are
    shuffled anew for each of their passes, and so is each subject's turn.
    """

    subjects: Sequence[Subject]
    regularising: Sequence[Subject] = ()
    every: int = 1

    def place(self, seed: int, position: int) -> int:
        """The place of the sprite that a position shows."""
        if not self.regularising:
            return self._passes.place(seed, position)
        number, slot = divmod(position, self.every + 1)
        if slot < self.every:
            return self._passes.place(seed, number * self.every + slot)
        return self._regularising_passes.place(seed, number)

    @cached_property
    def _passes(self) -> "_Passes":
        return _Passes(self.subjects, "order")

    @cached_property
    def _regularising_passes(self) -> "_Passes":
        return _Passes(self.regularising, "regularisation order")


@dataclass(frozen=True)
class _Passes:
    """Passes over subjects, each of them shuffled by the numbers of a stream."""

    subjects: Sequence[Subject]
    stream: str

    def place(self, seed: int, number: int) -> int:
        """The place of the sprite that the sample of that number shows."""
        epoch, at = divmod(number, self._ends[-1])
        slot = _order(seed, epoch, self._ends[-1], self.stream)[at]
        which = bisect_right(self._ends, slot)
        subject = self.subjects[which]
        first = self._ends[which] - subject.times
        turn, step = divmod(epoch * subject.times + slot - first, len(subject.turn))
        if len(subject.turn) == 1:
            return subject.turn[0]
        order = sample_order(seed, turn, len(subject.turn), f"{self.stream} of subject {which}")
        return subject.turn[int(order[step])]

    @cached_property
    def _ends(self) -> list[int]:
        """For each subject the number of samples of a pass, before it is shuffled, up to its last one."""
        return list(accumulate(subject.times for subject in self.subjects))


def subjects_of(names: Sequence[Hashable], repeats: Sequence[int], first: int = 0) -> list[Subject]:
    """The subjects of sprites whose places begin at `first`, in the order of their first sprites.

    `names`: of each sprite's subject. `repeats`: of each sprite. A subject is shown as often as its sprite with the
    most repeats would be alone, and its sprites in proportion to theirs.
    """
    members: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(name, []).append(place)
    return [
        Subject(
            [first + place for place in places for _ in range(repeats[place] // gcd(*(repeats[p] for p in places)))],
            max(repeats[place] for place in places),
        )
        for places in members.values()
    ]


@lru_cache(maxsize=4)  # of both passes the one that ends within a batch, and the next
def _order(seed: int, epoch: int, num_samples: int, stream: str) -> list[int]:
    return sample_order(seed, epoch, num_samples, stream).tolist()
