"""Which sprites are trained on and which are held out."""

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


def hold_out(items: Sequence[T], share: float, seed: int) -> tuple[list[T], list[T]]:
    """Split into training and held-out items, at least one held out; below 10 items none is."""
    if share == 0 or len(items) < SMALLEST_SET:
        return list(items), []
    count = max(1, round(share * len(items)))
    held = set(np.random.default_rng(seed).permutation(len(items))[:count].tolist())
    return [x for i, x in enumerate(items) if i not in held], [x for i, x in enumerate(items) if i in held]
