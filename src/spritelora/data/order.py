"""The endless order in which samples are shown, as a pure function of the seed and the position."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import count
from math import floor, gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spritelora.diffusion.draws import sample_order

Shape = tuple[int, int]
"""Height and width of a sprite's latents."""
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Subject:
    """Sprites of which one is shown where another one could be: frames, views and recolours of a thing.

    `turn`: their places; all are shown before one comes again, each as often as it stands there. `times`: how often a
    pass shows any of them.
    """

    turn: Sequence[int]
    times: int = 1


class _Part(NamedTuple):
    """The sprites of a subject that have one shape, and how often a pass shows any of them.

    Where that is no whole number, some passes show one more of them than others.
    """

    turn: Sequence[int]
    times: Fraction


@dataclass(frozen=True)
class DataOrder:
    """Passes over the subjects to train on and, among them, passes over those that regularise.

    `regularising`: where there are any, one sample of them follows every `every` samples of the others. Both are
    shuffled anew for each of their passes, and so is each subject's turn. `shapes`: of each place; empty where all are
    alike. The samples of a step have one shape. Each has an order of its own, and steps in proportion to its samples,
    evenly among those of the others.
    """

    subjects: Sequence[Subject]
    regularising: Sequence[Subject] = ()
    every: int = 1
    shapes: Sequence[Shape] = ()

    def place(self, seed: int, position: int, samples_a_step: int = 1) -> int:
        """The place of the sprite that a position shows."""
        if len(self._shares) == 1:
            return self._shares[0].order.place(seed, position)
        step, slot = divmod(position, samples_a_step)
        share, number = self._at(step)
        return share.order.place(seed, number * samples_a_step + slot)

    def first_step(self, shape: Shape) -> int:
        """The first step that shows sprites of a shape."""
        return 0 if len(self._shares) == 1 else next(step for step in count() if self._at(step)[0].shape == shape)

    def _at(self, step: int) -> tuple["_Share", int]:
        """The shape of a step, and how many steps before had it.

        Each shape takes its share of the steps that those before it in the list leave, evenly spread.
        """
        for share in self._shares[:-1]:
            before, after = (floor(n * share.of_rest + HALF) for n in (step, step + 1))
            if after > before:
                return share, before
            step -= before
        return self._shares[-1], step

    @cached_property
    def _shares(self) -> list["_Share"]:
        """The shapes, those with the fewest samples first."""
        shapes: list[Shape | None] = [*sorted(set(self.shapes))] or [None]
        parts = [(self._mixed(shape, f" of {shape}" if len(shapes) > 1 else ""), shape) for shape in shapes]
        left = Fraction(1)
        shares: list[_Share] = []
        for (of_steps, order), shape in sorted(parts, key=lambda part: (part[0][0], part[1] or (0, 0))):
            shares.append(_Share(shape, of_steps / left, order))
            left -= of_steps
        return shares

    def _mixed(self, shape: Shape | None, suffix: str) -> tuple[Fraction, "_Mixed"]:
        """The share of all samples that have a shape, and the order of these."""
        own, kept = (_of_shape(part, self.shapes, shape) for part in (self.subjects, self.regularising))
        if not self.regularising:
            return _sum(own) / _sum(self.subjects), _Mixed(own, [], Fraction(0), suffix)
        of_sprites = Fraction(self.every, self.every + 1) * _sum(own) / _sum(self.subjects)
        of_images = Fraction(1, self.every + 1) * _sum(kept) / _sum(self.regularising)
        return of_sprites + of_images, _Mixed(own, kept, of_images / (of_sprites + of_images), suffix)


@dataclass(frozen=True)
class _Mixed:
    """Passes over subjects and, evenly among them, a share of samples from passes over those that regularise.

    `suffix`: of the streams that shuffle them.
    """

    subjects: Sequence[_Part]
    regularising: Sequence[_Part]
    share: Fraction
    suffix: str = ""

    def place(self, seed: int, number: int) -> int:
        """The place of the sprite that the sample of that number shows."""
        before, after = (floor(n * self.share) for n in (number, number + 1))
        if after > before:
            return self._regularising_passes.place(seed, before)
        return self._passes.place(seed, number - before)

    @cached_property
    def _passes(self) -> "_Passes":
        return _Passes(self.subjects, f"order{self.suffix}")

    @cached_property
    def _regularising_passes(self) -> "_Passes":
        return _Passes(self.regularising, f"regularisation order{self.suffix}")


class _Share(NamedTuple):
    """A shape, its share of the steps that those before it leave, and the order of its samples."""

    shape: Shape | None
    of_rest: Fraction
    order: _Mixed


class _Pass(NamedTuple):
    """A pass over subjects: how many samples, and how many of each subject, come before it; the slots of each in it.

    `ends`: for each subject the number of samples of the pass, before it is shuffled, up to its last one.
    """

    start: int
    before: NDArray[np.int64]
    ends: NDArray[np.int64]


@dataclass(frozen=True)
class _Passes:
    """Passes over subjects, each of them shuffled by the numbers of a stream."""

    subjects: Sequence[_Part]
    stream: str
    _known: dict[int, _Pass] = field(default_factory=dict[int, _Pass], init=False, repr=False, compare=False)

    def place(self, seed: int, number: int) -> int:
        """The place of the sprite that the sample of that number shows."""
        epoch = self._epoch(number)
        start, before, ends = self._pass(epoch)
        slot = _order(seed, epoch, int(ends[-1]), self.stream)[number - start]
        which = int(np.searchsorted(ends, slot, side="right"))
        subject, first = self.subjects[which], int(ends[which - 1]) if which else 0
        turn, step = divmod(int(before[which]) + slot - first, len(subject.turn))
        if len(subject.turn) == 1:
            return subject.turn[0]
        order = sample_order(seed, turn, len(subject.turn), f"{self.stream} of subject {which}")
        return subject.turn[int(order[step])]

    def _epoch(self, number: int) -> int:
        """The pass that a sample is in. After n passes at most n times the samples of one have been shown."""
        epoch = floor(number / self._rate)
        while number >= self._pass(epoch + 1).start:
            epoch += 1
        return epoch

    def _pass(self, epoch: int) -> _Pass:
        if epoch not in self._known:
            if len(self._known) > 3:  # of the pass that ends within a batch, and the next two
                self._known.clear()
            above, below = self._times
            before, after = above * epoch // below, above * (epoch + 1) // below
            self._known[epoch] = _Pass(int(before.sum()), before, np.cumsum(after - before))
        return self._known[epoch]

    @cached_property
    def _rate(self) -> Fraction:
        return _sum(self.subjects)

    @cached_property
    def _times(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The samples of each subject in a pass, as numerators and denominators."""
        times = [subject.times for subject in self.subjects]
        return np.array([t.numerator for t in times]), np.array([t.denominator for t in times])


def _sum(subjects: Sequence[Subject] | Sequence[_Part]) -> Fraction:
    """The samples of a pass over subjects."""
    return sum((Fraction(subject.times) for subject in subjects), Fraction(0))


def _of_shape(subjects: Sequence[Subject], shapes: Sequence[Shape], shape: Shape | None) -> list[_Part]:
    """The parts of subjects that have a shape, each shown as often as it is among the whole."""
    if shape is None:
        return [_Part(subject.turn, Fraction(subject.times)) for subject in subjects]
    parts = [(subject, [place for place in subject.turn if shapes[place] == shape]) for subject in subjects]
    return [_Part(part, subject.times * Fraction(len(part), len(subject.turn))) for subject, part in parts if part]


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
