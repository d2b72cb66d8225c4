"""A run of several processes: the first starts the others where torchrun and Slurm have not, and watches them.

Lightning's own launcher starts them at the training loop, by Hydra's command line once more, and kills the first
without a word when another ends. Here they start before the encoders, get the composed settings, and a loss is told.
"""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy

from spritelora.config.invocation import Invocation
from spritelora.config.plain import plain
from spritelora.config.train.processes import Place, find_place
from spritelora.config.train.schema import TrainConfig
from spritelora.data.rendezvous import Wait, join
from spritelora.data.team import Team
from spritelora.errors import SpriteLoraError, TrainingError
from spritelora.program import typed
from spritelora.runs.layout import is_run
from spritelora.streams import complain

log = logging.getLogger(__name__)

GRACE_S = 10.0
"""From the end of one process to the end of the first, where that hangs and cannot say why itself."""
WORKER = "spritelora.commands.train.worker"


def choose_place(config: TrainConfig) -> Place:
    """This process's place as torchrun or Slurm gave it, or as the first of `hardware.devices` on this machine."""
    if (place := find_place(os.environ)) is not None:
        return place
    size = config.hardware.devices
    return Place(size=size, local_size=size, starts_others=True) if size > 1 else Place()


@contextmanager
def open_team(config: TrainConfig, invocation: Invocation, place: Place, device: torch.device) -> Iterator[Team]:
    """The processes of the run, joined; they end with the block.

    Raises TrainingError in the first where another was lost; the others end with it.
    """
    if place.size == 1:
        yield Team(place)
        return
    if place.starts_others:
        place = replace(place, port=free_port())
    others = Others(_start_others(config, invocation, place), invocation.run_dir)
    try:
        wait = Wait(config.hardware.join_timeout, _tell(place), others.check)
        team = Team(place, join(place, device, wait))
        yield team
        others.is_released = True
        team.meet(None)
        dist.destroy_process_group()
    except SpriteLoraError as error:
        if place.rank == 0:
            raise
        complain(f"error: process {place.rank}: {error}")
        raise SystemExit(error.exit_status) from error
    except Exception as error:
        if not _is_lost_connection(error):
            raise
        if place.rank > 0:
            raise SystemExit(TrainingError.exit_status) from error
        raise TrainingError(others.loss()) from error
    finally:
        others.end()


class Others:
    """The processes that this one has started, watched until they are released: one that ends before is a loss."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]], run_dir: Path) -> None:
        self.processes, self.run_dir = processes, run_dir
        self.is_released = False
        if processes:
            threading.Thread(target=self._watch, daemon=True).start()

    def loss(self) -> str:
        """Which process was lost and what to do."""
        deadline = time.monotonic() + 2
        while (lost := self._find_lost()) is None and self.processes and time.monotonic() < deadline:
            time.sleep(0.05)
        found = lost or "the connection to another process of the run was lost (torchrun or Slurm says which ended)"
        go_on = typed("train", f"resume={self.run_dir}")
        remedy = f"to go on: {go_on}" if is_run(self.run_dir) else "start the run again"
        return f"{found}; {remedy}"

    def check(self) -> None:
        """Raise TrainingError where a process has ended."""
        if self._find_lost() is not None:
            raise TrainingError(self.loss())

    def end(self) -> None:
        """End all: those that were released by themselves, the rest at once."""
        deadline = time.monotonic() + (GRACE_S if self.is_released else 0)
        self.is_released = True
        for process in self.processes:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()

    def _find_lost(self) -> str | None:
        for rank, process in enumerate(self.processes, 1):
            if (status := process.poll()) is not None:
                how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
                return f"process {rank} of {len(self.processes) + 1} ended {how}"
        return None

    def _watch(self) -> None:
        while not self.is_released:
            if self._find_lost() is not None:
                self._end_all_unless_told()
            time.sleep(0.2)

    def _end_all_unless_told(self) -> None:
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            if self.is_released:
                return
            time.sleep(0.1)
        complain(f"error: {self.loss()}")
        for process in self.processes:
            process.kill()
        os._exit(TrainingError.exit_status)


class TeamEnvironment(ClusterEnvironment):
    """Tells Lightning what the run knows of its processes, which are all there."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.place.address

    @property
    def main_port(self) -> int:
        return self.place.port

    @staticmethod
    def detect() -> bool:
        return True

    def world_size(self) -> int:
        return self.place.size

    def set_world_size(self, size: int) -> None:
        assert size == self.place.size

    def global_rank(self) -> int:
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self.place.rank

    def local_rank(self) -> int:
        return self.place.local_rank

    def node_rank(self) -> int:
        return self.place.rank // self.place.local_size


class TeamStrategy(DDPStrategy):
    """Lightning's DDP among processes that run already; what is frozen is not sent around."""

    def _configure_launcher(self) -> None:
        """None: it would set the number of threads too."""

    def _setup_model(self, model: torch.nn.Module) -> torch.nn.parallel.DistributedDataParallel:
        frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
        frozen += [name for name, _ in model.named_buffers()]
        torch.nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)
        return super()._setup_model(model)


def _start_others(config: TrainConfig, invocation: Invocation, place: Place) -> list[subprocess.Popen[bytes]]:
    """Start the processes after the first, each told the settings on its standard input, whose end is its end."""
    if not place.starts_others:
        return []
    told = {"settings": plain(config), "run_dir": str(invocation.run_dir), "overrides": invocation.overrides}
    processes: list[subprocess.Popen[bytes]] = []
    for rank in range(1, place.size):
        environment = {**os.environ, **replace(place, rank=rank, local_rank=rank).variables}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER],
            env=environment,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the first one, which asks the others
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )
        assert process.stdin is not None
        with suppress(OSError):  # it has ended already, and whoever watches it says so
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        processes.append(process)
    return processes


def _tell(place: Place) -> Callable[[str], None]:
    """A function that says a line: the log is the first process's alone."""
    return log.warning if place.rank == 0 else complain


def _is_lost_connection(error: Exception) -> bool:
    """Whether a collective operation failed because another process has gone."""
    return isinstance(error, dist.DistError) or bool(
        isinstance(error, RuntimeError) and re.search(r"gloo|NCCL|Connection (closed|reset)", str(error))
    )


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
