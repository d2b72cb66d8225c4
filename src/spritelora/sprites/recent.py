"""The latest results of slow work on files, within a bound of memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Results by key, the least used dropped first until all are within `max_bytes`; the latest always stays.

    `num_bytes`: of a result.
    """

    def __init__(self, max_bytes: int, num_bytes: Callable[[T], int]) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = num_bytes
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of a key, made where it is not kept."""
        if key not in self._kept:
            result = make()
            self._kept[key] = result
            while len(self._kept) > 1 and sum(map(self._num_bytes, self._kept.values())) > self._max_bytes:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
