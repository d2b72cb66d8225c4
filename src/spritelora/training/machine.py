"""What a training device is and how much memory it has; a GPU may share the machine's."""

import ctypes
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
CGROUP_USE = Path("/sys/fs/cgroup/memory.current")


CPUINFO = Path("/proc/cpuinfo")
PEAK_RESET = Path("/proc/self/clear_refs")
WIDE = 512
"""Channels from which on a model's products of matrices are large enough to gain by oneDNN."""
LARGE_BYTES = 2**20
"""Blocks of a CPU's memory from this size on are the system's own, each mapped when it is made."""
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""glibc's numbers for these two of its settings."""


def map_large_blocks() -> None:
    """Have the C library give each large block back to the system when it is freed.

    glibc takes blocks up to 32 MB from a heap that falls into pieces between them: full-size SDXL in training held a
    third more so. Other C libraries keep to their own ways.
    """
    with suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no library of the process itself
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(TRIM_THRESHOLD, 256 * LARGE_BYTES)


def choose_products(unet_config: Mapping[str, Any]) -> None:
    """Have oneDNN multiply the fp32 matrices of a wide model on CPUs whose AVX-512 MKL leaves unused, else MKL.

    torch hands them to oneDNN where 16-bit arithmetic is allowed in them. oneDNN uses that on CPUs with AMX alone, and
    those are left out: the numbers are those of fp32. Attention's own small products lose, and so do small models.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if hasattr(matmul, "fp32_precision"):
        is_wide = max(unet_config["block_out_channels"]) >= WIDE
        matmul.fp32_precision = "bf16" if is_wide and _has_idle_avx512() else "none"  # pyright: ignore


def _has_idle_avx512() -> bool:
    """Whether this is a CPU of AMD with AVX-512, which MKL keeps to Intel's, and without AMX."""
    told = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.is_file() else ""
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and "AuthenticAMD" in told and " amx_" not in told


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
    try:
        import resource
    except ImportError:
        return memory.rss
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def process_memory_bytes() -> int:
    """What this process holds in memory now."""
    import psutil

    return psutil.Process().memory_info().rss
