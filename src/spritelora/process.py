"""Everything that tunes the whole process: what the libraries beneath say and do by themselves.

| setting | gain, as measured |
|---|---|
| GOMP_SPINCOUNT | a forward pass beside a busy core takes 4 times as long as alone, not 40 times |
| THP_MEM_ALLOC_ENABLE | the first step at full size in 0.8 of the time |
| `quick_imports` | a command that only imports in 0.7 of the time |
| `import_bitsandbytes` | a run starts in 0.75 of the time |
| `map_large_blocks` | full-size training on a CPU holds 0.75 of the memory |
| `choose_products` | fp32 products of a wide model at 240 instead of 110 GFLOP/s on AMD with AVX-512 |
| `training/hardware.py: share_threads` | processes of one machine do not wait for one another |
"""

import ctypes
import functools
import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spritelora import __version__

PACKAGES = (
    "spritelora", "torch", "pytorch-lightning", "diffusers", "transformers", "peft", "bitsandbytes", "hydra-core",
)  # fmt: skip
"""The packages whose versions can change a run's numbers."""
CPUINFO = Path("/proc/cpuinfo")
WIDE = 512
"""Channels from which on a model's products of matrices are large enough to gain by oneDNN."""
LARGE_BYTES = 2**20
"""Blocks of a CPU's memory from this size on are the system's own, each mapped when it is made."""
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""glibc's numbers for these two of its settings."""


def package_version(package: str) -> str:
    """The version of a package, of this one also where it runs from its sources without being installed."""
    if package == "spritelora":
        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def package_versions() -> dict[str, str]:
    """The version of each of PACKAGES."""
    return {package: package_version(package) for package in PACKAGES}


def prepare_libraries() -> None:
    """Keep to the lines that answer a user's question; to be called before the libraries are imported.

    W&B's reports about itself are off too.
    """
    # Threads that wait for one another by spinning stand still where another program holds a core.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Pages of 2 MB for large tensors on a CPU.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Else torch prints its own stack where another process of the run has gone, which the run says in words.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    for variable in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(variable, "error")
    for name in ("lightning_fabric", "bitsandbytes", "peft"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|diffusers|lightning|torch\.optim\.lr_scheduler)")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keeps the garbage collector from what is imported within it, which stays to the end of the process.

    Else it goes through all that has been imported again and again, and once more at the end: a third of a command
    that does nothing but import. Where torch is there already, as in a sweep's second job, nothing changes.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_bitsandbytes() -> None:
    """Import bitsandbytes, which diffusers and PEFT do, without the compiler that it asks for at its import.

    Its CPU kernels are marked for torch.compile, and marking them loads TorchInductor: a quarter of a run's start-up.
    They are compiled when they are first called.
    """
    import torch

    real = torch.compile
    torch.compile = compile_at_first_call(real)
    try:
        with suppress(Exception):  # what needs it imports it again, and says what fails
            import bitsandbytes  # noqa: F401
    finally:
        torch.compile = real


def compile_at_first_call(compile: Callable[..., Any]) -> Any:
    """A decorator like `compile`, with or without options, that compiles a function when it is first called."""

    def late(model: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
        if model is None:
            return functools.partial(late, **options)

        @functools.cache
        def compiled() -> Callable[..., Any]:
            return compile(model, **options)

        return functools.wraps(model)(lambda *args, **more: compiled()(*args, **more))

    return late


def map_large_blocks() -> None:
    """Have the C library give each large block back to the system when it is freed.

    glibc takes blocks up to 32 MB from a heap that falls into pieces between them. Other C libraries keep to their own
    ways.
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
    import torch

    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if hasattr(matmul, "fp32_precision"):
        is_wide = max(unet_config["block_out_channels"]) >= WIDE
        matmul.fp32_precision = "bf16" if is_wide and _has_idle_avx512() else "none"  # pyright: ignore


def _has_idle_avx512() -> bool:
    """Whether this is a CPU of AMD with AVX-512, which MKL keeps to Intel's, and without AMX."""
    import torch

    features = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.is_file() else ""
    is_amd = "AuthenticAMD" in features and " amx_" not in features
    return is_amd and torch.backends.cpu.get_cpu_capability() == "AVX512"
