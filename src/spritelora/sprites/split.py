"""Which sprites are trained on and which are held out."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SMALLEST_SET = 10


def choose_subset(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """A seeded choice of at most `limit` items, in their own order."""
    if limit is None or limit >= len(items):
        return list(items)
    chosen = np.random.default_rng(seed).permutation(len(items))[:limit]
    return [items[i] for i in sorted(chosen.tolist())]


def hold_out(
    items: Sequence[T], share: float, seed: int, groups: Sequence[str] | None = None
) -> tuple[list[T], list[T]]:
    """Split into training and held-out items, at least one held out; below 10 items none is.

    `groups`: of each item; those of one group stay together, unless every choice of whole groups is far from the
    share (see `hold_out_groups`): then items are held out one by one, as without groups.
    """
    if share == 0 or len(items) < SMALLEST_SET:
        return list(items), []
    count = max(1, round(share * len(items)))
    order: list[int] = np.random.default_rng(seed).permutation(len(items)).tolist()
    held = hold_out_groups(groups, order, count) if groups is not None else None
    held = set(order[:count]) if held is None else held
    return [x for i, x in enumerate(items) if i not in held], [x for i, x in enumerate(items) if i in held]


def why_none_held_out(share: float, num_items: int) -> str:
    """Why `hold_out` held none of so many items out."""
    if share == 0:
        return "data.holdout=0"
    return f"that needs {SMALLEST_SET} sprites, there {'is' if num_items == 1 else 'are'} {num_items}"


def hold_out_groups(groups: Sequence[str], order: Sequence[int], count: int) -> set[int] | None:
    """The places of about `count` items in whole groups, taken as `order` meets them; None where groups are too large.

    First only groups that fit into the count are taken. Where those make up less than half of it, groups may go over
    it: to twice the count or a quarter of the items, and never over half of them.
    """
    largest = min(len(groups) // 2, max(2 * count, len(groups) // 4))
    for room in (count, largest):
        held = _fill(groups, order, count, room)
        if 2 * len(held) >= count:
            return held
    return None


def _fill(groups: Sequence[str], order: Sequence[int], count: int, room: int) -> set[int]:
    """The places of the groups that `order` meets first and that fit into `room`, until `count` items are held."""
    sizes = Counter(groups)
    chosen: set[str] = set()
    num_held = 0
    for group in dict.fromkeys(groups[place] for place in order):
        if num_held < count and num_held + sizes[group] <= room:
            chosen.add(group)
            num_held += sizes[group]
    return {place for place, group in enumerate(groups) if group in chosen}
