"""The same function over many jobs in several processes, results in order, nothing left behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from typing import TypeVar

from spritelora.errors import SpriteLoraError

Job = TypeVar("Job")
Result = TypeVar("Result")

CHUNK = 16
MOST_PROCESSES = 61
"""As many as Windows can wait for at once."""
ITEMS_PER_PROCESS = 64
"""Below this many items another process costs more than it saves."""


def map_in_order(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, items_per_job: int = 1
) -> Iterator[Result]:
    """`function` of each job, in this process for one worker or few items.

    `items_per_job`: sprites, or whatever takes the time. An error of a job ends the others. Raises SpriteLoraError
    where a process was killed.
    """
    workers = min(workers, -(-len(jobs) * items_per_job // ITEMS_PER_PROCESS), MOST_PROCESSES)
    if workers <= 1:
        yield from map(function, jobs)
        return
    pool = ProcessPoolExecutor(workers, initializer=_end_with_parent)
    try:
        yield from pool.map(function, jobs, chunksize=max(1, CHUNK // items_per_job))
    except BrokenProcessPool as error:
        raise SpriteLoraError(
            "a worker process was killed, perhaps for want of memory; run the same command again with workers=1"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when the main process does, also when that is killed; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for_end, args=(parent.sentinel,), daemon=True).start()


def _wait_for_end(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
