"""What the libraries beneath say and do by themselves, settled before the first of them is imported."""

import functools
import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spritelora import __version__

PACKAGES = (
    "spritelora", "torch", "pytorch-lightning", "diffusers", "transformers", "peft", "bitsandbytes", "hydra-core",
)  # fmt: skip
"""The packages whose versions can change a run's numbers."""


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
    # Threads that wait for one another by spinning stand still where another program holds a core: on two cores of
    # which one was busy, a forward pass took 40 times as long with the default, 4 times with this; idle, the same.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Pages of 2 MB for large tensors on a CPU: at full size the first step was done in 0.8 of the time.
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
    """What is imported within it stays to the end of the process, and the garbage collector never looks at it.

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
