"""The hardware of a run, settled from the settings and the machine."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist

from spritelora.config.train.hardware_keys import BaseFormat, Device, Precision
from spritelora.config.train.processes import Place, num_cpus
from spritelora.errors import ConfigError
from spritelora.shown import counted
from spritelora.training.machine import process_peak_bytes, reset_process_peak

log = logging.getLogger(__name__)

LIGHTNING_PRECISION = {Precision.fp32: "32-true", Precision.bf16: "bf16-mixed", Precision.fp16: "16-mixed"}
BASE_DTYPE = {Precision.fp32: torch.float32, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


@dataclass(frozen=True)
class Hardware:
    """Device, precision and format of the base of a run, all settled. `chosen`: why the savings are what they are."""

    device: torch.device
    precision: Precision
    name: str
    place: Place = field(default_factory=Place)
    base: BaseFormat = BaseFormat.full
    chosen: str = ""

    @property
    def base_dtype(self) -> torch.dtype:
        """Number format of the frozen base; the adapter is always fp32."""
        return BASE_DTYPE[self.precision]


def choose_hardware(device: Device, precision: Precision, place: Place | None = None) -> Hardware:
    """Settle what is left to choose. Raises ConfigError for what this machine does not have."""
    place = place or Place()
    has_cuda = torch.cuda.is_available()
    if device is Device.cuda and not has_cuda:
        raise ConfigError("hardware.device=cuda: torch sees no CUDA device here; use hardware=cpu, or a CUDA build")
    use_cuda = has_cuda and device is not Device.cpu
    has_bf16 = not use_cuda or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision is Precision.auto:
        precision = Precision.mixed16 if use_cuda else Precision.fp32
    if precision is Precision.mixed16:
        precision = Precision.bf16 if has_bf16 else Precision.fp16
    if precision is Precision.fp16 and not use_cuda:
        raise ConfigError("hardware.precision=fp16 needs a GPU; a CPU trains in fp32 or bf16")
    if precision is Precision.bf16 and not has_bf16:
        raise ConfigError("hardware.precision=bf16: this GPU has no bf16; use hardware.precision=fp16")
    if use_cuda and place.size > 1:
        _take_own_gpu(place)
    name = torch.cuda.get_device_name() if use_cuda else f"CPU, {torch.get_num_threads()} thread(s)"
    many = f"{place.size} x " if place.size > 1 else ""
    number = f":{place.local_rank}" if place.size > 1 else ""
    return Hardware(torch.device(f"cuda{number}" if use_cuda else "cpu"), precision, f"{many}{name}", place)


def share_threads(threads: int | None, place: Place) -> None:
    """Set torch's threads: as asked, or where several processes share the CPUs of a machine, a part for each.

    OMP_NUM_THREADS and CPUs that Slurm has bound to a process are that process's own; torchrun binds none.
    """
    cpus, is_bound = num_cpus(), num_cpus() < (os.cpu_count() or 1) and not dist.is_torchelastic_launched()
    if place.local_size > cpus and not is_bound:
        log.warning("%d processes on %d CPU cores: they will wait for one another", place.local_size, cpus)
    if threads is None and place.local_size > 1 and "OMP_NUM_THREADS" not in os.environ and not is_bound:
        threads = max(1, cpus // place.local_size)
    if threads is not None:
        torch.set_num_threads(threads)


def _take_own_gpu(place: Place) -> None:
    num_gpus = torch.cuda.device_count()
    if place.local_size > num_gpus:
        raise ConfigError(
            f"hardware.devices={place.local_size}: torch sees {counted(num_gpus, 'GPU')} here; ask for as many "
            f"processes as there are GPUs, and let each see all of them (Slurm: --gpus-per-node, not --gpus-per-task)"
        )
    torch.cuda.set_device(place.local_rank)


def reset_peak_memory(device: torch.device) -> None:
    """Count the peak from here, where the system lets us: on the GPU, and on Linux for the process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        reset_process_peak()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory left; on a CPU torch says so in a RuntimeError of its allocator."""
    kinds = (torch.cuda.OutOfMemoryError, MemoryError)
    words = ("can't allocate memory", "not enough memory", "std::bad_alloc")
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))


def peak_memory_gb(device: torch.device) -> float:
    """The most memory held so far in GB: on the GPU by torch, on a CPU by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return process_peak_bytes() / 1e9


@contextmanager
def cpu_threads(wanted: int | None) -> Iterator[None]:
    """A number of CPU threads for what is within, so that the next job of the process has its own again."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
