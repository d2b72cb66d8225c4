"""The processes of one run find one another, and say whom they wait for; Ctrl-C and SIGTERM are obeyed all the while.

What blocks within torch lets no handler of Python run, so it is done on a thread while the main one waits.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from spritelora.config.durations import parse_duration
from spritelora.config.train.processes import Place
from spritelora.errors import TrainingError, first_line

PATIENCE = timedelta(hours=3)
"""The longest wait for a process that has come and is alive, for it may fetch a model or draw samples."""
TELL_AFTER_S = 30.0
LOOK_EVERY_S = 0.2
CONNECT_S = 5.0
LATER_S = 30.0
"""By this a process that has met the first one lets that one speak first."""

T = TypeVar("T")


@dataclass
class Wait:
    """The wait of a process for others. `timeout`: as typed; `tell`: says a line."""

    timeout: str
    tell: Callable[[str], None]
    tell_after_s: float = TELL_AFTER_S
    started: float = field(default_factory=time.monotonic)
    has_told: bool = False

    def go_on(self, place: Place, whom: str, later_s: float = 0.0) -> None:
        """Sleep a moment. Raises TrainingError that says whom the process waits for where that takes too long."""
        waited_s = time.monotonic() - self.started - later_s
        if waited_s > (parse_duration(self.timeout) or 0):
            raise TrainingError(
                f"waited {self.timeout} for {whom}: see what its own output says, that all were started with the same "
                f"MASTER_ADDR and MASTER_PORT, and that no firewall is between them; a longer wait is "
                f"hardware.join_timeout=1h"
            )
        if waited_s > self.tell_after_s and not self.has_told:
            self.has_told = True
            self.tell(f"rank {place.rank} of {place.size} is waiting for {whom}; after {self.timeout} the run ends")
        time.sleep(LOOK_EVERY_S)


def join(place: Place, device: torch.device, wait: Wait) -> dist.ProcessGroup:
    """Meet the other processes. Returns a group for messages between CPUs; the default group is for gradients.

    Raises TrainingError where another does not come in time.
    """
    store = meet(place, wait)

    def connect() -> dist.ProcessGroup:
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # which each thread has of its own
        backend = "nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=PATIENCE)
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(group, dist.ProcessGroup)
        return group

    return on_thread(connect)


def meet(place: Place, wait: Wait) -> dist.Store:
    """The store that all processes of the run have come to. Raises TrainingError for one that does not come in time."""
    store = _host(place) if place.rank == 0 and not _torchrun_hosts() else _reach(place, wait)
    store.set(_key(place.rank), "")
    wait.has_told |= place.rank > 0  # from here on the first process tells it, for all
    while missing := [rank for rank in range(place.size) if not store.check([_key(rank)])]:
        later_s = 0.0 if place.rank == 0 else LATER_S
        wait.go_on(place, f"{ranks(missing)} of {place.size} to come to {place.address}:{place.port}", later_s)
    return store


def ranks(numbers: list[int]) -> str:
    """Numbers in words, those in a row as a range: rank 1, ranks 1, 4-7."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
    return f"rank{'s' if len(numbers) > 1 else ''} {shown}"


def on_thread(call: Callable[[], T], meanwhile: Callable[[], None] = lambda: None) -> T:
    """Makes a call on a thread, so that this one obeys signals, and returns or raises as it does.

    `meanwhile`: called every LOOK_EVERY_S.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_EVERY_S)
        meanwhile()
    if errors:
        raise errors[0]
    return results[0]


def _key(rank: int) -> str:
    return f"spritelora/joined/{rank}"


def _torchrun_hosts() -> bool:
    """Whether the store is torchrun's own, and the first process too goes to it."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)


def _host(place: Place) -> dist.Store:
    try:
        # Its own end is here, whatever MASTER_ADDR says; it answers on all addresses of the machine.
        return dist.TCPStore(
            "localhost", place.port, place.size, is_master=True, timeout=PATIENCE, wait_for_workers=False
        )
    except dist.DistError as error:
        raise TrainingError(
            f"port {place.port} of this machine, where the processes are to meet, cannot be used "
            f"({first_line(error)}); set MASTER_PORT to a free one"
        ) from error


def _reach(place: Place, wait: Wait) -> dist.Store:
    """Where the first process, or torchrun, is met, once it is there: torch's own attempts fill the screen."""
    first = "the store of torchrun" if _torchrun_hosts() else f"the first process, rank 0 of {place.size},"
    while True:
        try:
            on_thread(lambda: socket.create_connection((place.address, place.port), timeout=CONNECT_S).close())
            break
        except OSError as error:
            wait.go_on(place, f"{first} at {place.address}:{place.port} ({error.strerror or error})")
    return on_thread(
        lambda: dist.TCPStore(
            place.address, place.port, place.size, is_master=False, timeout=PATIENCE, wait_for_workers=False
        )
    )
