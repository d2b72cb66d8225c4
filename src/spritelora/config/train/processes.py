"""The processes of one run: what torchrun, Slurm or the settings say of them; no torch."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import psutil

from spritelora.config.command_line import CommandLine
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError

TORCHRUN = {
    "RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "MASTER_ADDR": None, "MASTER_PORT": 0,
}  # fmt: skip
SLURM = {
    "SLURM_PROCID": 0, "SLURM_LOCALID": 0, "SLURM_STEP_NUM_TASKS": 1, "SLURM_STEP_NUM_NODES": 1,
    "SLURM_STEP_NODELIST": None, "SLURM_JOB_ID": 0, "SLURM_STEP_ID": 0,
}  # fmt: skip
"""Variables that are read, with the least number that each may be; None: a text."""


@dataclass(frozen=True)
class Place:
    """Where a process stands among those of its run.

    `local_rank`, `local_size`: among those of its machine. `address`, `port`: where the first one is met.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    num_nodes: int = 1
    address: str = "127.0.0.1"
    port: int = 0


def find_place(environment: Mapping[str, str]) -> Place | None:
    """The place that torchrun or Slurm's srun gave this process; None where it was started alone.

    Raises ConfigError that names each of their variables that is empty or not such a number.
    """
    _check_variables(environment, TORCHRUN)
    if all(name in environment for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")):
        place = _torchrun_place(environment)
    elif all(name in environment for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")):
        _check_variables(environment, SLURM)
        place = _slurm_place(environment)
    else:
        return None
    return place if place.size > 1 else None


def lacks_processes(config: TrainConfig) -> bool:
    """Whether a run is to have several processes on this machine, and nobody has started them."""
    return config.hardware.devices > 1 and find_place(os.environ) is None


def is_follower() -> bool:
    """Whether another process is the first of this run, and writes and speaks for all."""
    place = find_place(os.environ)
    return place is not None and place.rank > 0


def settle_processes(config: TrainConfig, place: Place | None) -> TrainConfig:
    """The settings with the processes that there are."""
    if place is None:
        return config
    hardware = replace(config.hardware, devices=place.local_size, num_nodes=place.num_nodes)
    return replace(config, hardware=hardware)


def check_processes(config: TrainConfig, line: CommandLine) -> None:
    """Raise ConfigError for processes that torchrun or Slurm started otherwise, or for a whole sweep."""
    place, hardware = find_place(os.environ), config.hardware
    if place is None and hardware.num_nodes > 1:
        raise ConfigError(
            f"hardware.num_nodes={hardware.num_nodes}: the processes of several machines are started by torchrun or "
            f"Slurm's srun; see docs/clusters.md"
        )
    if place is None:
        return
    _check_started(hardware.devices, hardware.num_nodes, place)
    if line.is_multirun:
        raise ConfigError(
            f"-m: {place.size} processes started by torchrun or srun would each run the sweep again; start the sweep "
            f"in one process, with hardware.devices={place.size} for its jobs"
        )


def num_cpus() -> int:
    """The CPUs this process may run on."""
    process = psutil.Process()  # macOS binds no process to CPUs
    return len(process.cpu_affinity() or ()) if hasattr(process, "cpu_affinity") else os.cpu_count() or 1


def _check_started(devices: int, num_nodes: int, place: Place) -> None:
    if place.local_size * place.num_nodes != place.size:
        raise ConfigError(
            f"{place.size} processes were started on {place.num_nodes} machines: start as many on each "
            f"(srun --ntasks-per-node, torchrun --nproc-per-node)"
        )
    asked = {"hardware.devices": (devices, place.local_size), "hardware.num_nodes": (num_nodes, place.num_nodes)}
    for key, (wanted, started) in asked.items():
        if wanted not in (1, started):
            raise ConfigError(
                f"{key}={wanted}, but torchrun or Slurm started {started}: leave it out, or type {key}={started}"
            )


def _check_variables(environment: Mapping[str, str], variables: Mapping[str, int | None]) -> None:
    problems: list[str] = []
    for name, least in variables.items():
        value = environment.get(name, "0" if least is None else str(least)).strip()
        if not value:
            problems.append(f"the variable {name} is empty")
        elif least is not None and (not re.fullmatch(r"[0-9]+", value) or int(value) < least):
            problems.append(f"the variable {name} must be a whole number of at least {least}, got '{value}'")
    if problems:
        raise ConfigError(
            f"{'; '.join(problems)}: torchrun and Slurm's srun set it for each process; where you start one process by "
            f"itself, unset it"
        )


def _torchrun_place(environment: Mapping[str, str]) -> Place:
    size = int(environment["WORLD_SIZE"])
    local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
    return Place(
        rank=int(environment["RANK"]),
        size=size,
        local_rank=int(environment["LOCAL_RANK"]),
        local_size=local_size,
        num_nodes=max(1, size // local_size),
        address=environment["MASTER_ADDR"],
        port=int(environment["MASTER_PORT"]),
    )


def _slurm_place(environment: Mapping[str, str]) -> Place:
    size, num_nodes = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment.get("SLURM_STEP_NUM_NODES", 1))
    job, step = (int(environment.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    nodes = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    return Place(
        rank=int(environment["SLURM_PROCID"]),
        size=size,
        local_rank=int(environment["SLURM_LOCALID"]),
        local_size=size // num_nodes,
        num_nodes=num_nodes,
        address=environment.get("MASTER_ADDR", _first_host(nodes)),
        port=int(environment.get("MASTER_PORT", 15000 + (job + 97 * step) % 15000)),  # the same in all processes
    )


def _first_host(nodes: str) -> str:
    """The first of Slurm's list of machines: node03 of `node[03-05,9],gpu1`."""
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", nodes).partition(",")[0]
