"""The training device and its memory; a GPU may share the machine's."""

import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
CGROUP_USE = Path("/sys/fs/cgroup/memory.current")
PEAK_RESET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class DeviceFacts:
    """`kind`: cpu or cuda. `capability`: of a GPU, such as (8, 9). `is_unified`: its memory is the machine's own."""

    kind: str
    name: str
    total_gb: float
    free_gb: float
    capability: tuple[int, int] | None = None
    is_unified: bool = False


def read_device(device: torch.device) -> DeviceFacts:
    """The facts of a device as they are now."""
    total_gb, free_gb = system_memory_gb()
    if device.type != "cuda":
        return DeviceFacts("cpu", "CPU", total_gb, free_gb)
    properties = torch.cuda.get_device_properties(device)
    is_unified = bool(getattr(properties, "is_integrated", 0))
    if not is_unified:  # else nvidia-smi and CUDA know nothing of what the page cache would give back
        free, total = torch.cuda.mem_get_info(device)
        total_gb, free_gb = total / 1e9, free / 1e9
    return DeviceFacts("cuda", properties.name, total_gb, free_gb, (properties.major, properties.minor), is_unified)


def system_memory_gb() -> tuple[float, float]:
    """Memory of the machine in GB, all of it and what is to be had, or what a container may have of it."""
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    with suppress(OSError, ValueError):  # without a limit it says "max"
        limit, used = (int(file.read_text(encoding="ascii")) for file in (CGROUP_LIMIT, CGROUP_USE))
        total, free = min(total, limit), min(free, limit - used)
    return total / 1e9, max(free, 0) / 1e9


def free_memory_gb() -> float:
    """GB of memory that this process may still take: of the machine's, or of its own limit (`ulimit -v`)."""
    import psutil

    _, free_gb = system_memory_gb()
    process = psutil.Process()
    if hasattr(psutil, "RLIMIT_AS"):  # Linux
        limit, _ = process.rlimit(psutil.RLIMIT_AS)
        if limit != psutil.RLIM_INFINITY:
            free_gb = min(free_gb, max(0, limit - process.memory_info().vms) / 1e9)
    return free_gb


def reset_process_peak() -> None:
    """Count the peak of this process's memory from here; Linux alone can."""
    with suppress(OSError):
        PEAK_RESET.write_text("5", encoding="ascii")


def process_peak_bytes() -> int:
    """The most memory that this process has held since its start, on Linux since the last reset.

    Where the system tells neither, what it holds now.
    """
    import psutil

    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset  # pyright: ignore[reportAttributeAccessIssue]
    if STATUS.is_file():  # getrusage would name the parent's peak until this process has passed it
        peak = re.search(r"^VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
        return int(peak[1]) * 1024 if peak else memory.rss
    try:
        import resource
    except ImportError:
        return memory.rss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def process_memory_bytes() -> int:
    """The memory that this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss
