"""The message where memory ran out: how much was asked for, how much was free, and which settings save how much."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from spritelora.errors import TrainingError
from spritelora.training.hardware import is_out_of_memory
from spritelora.training.machine import free_memory_gb, process_memory_bytes

UNIT_GB = {"bytes": 1e-9, "KiB": 2**10 / 1e9, "MiB": 2**20 / 1e9, "GiB": 2**30 / 1e9}
ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)")
"""The words of both of torch's allocators for the memory asked for."""


def asked_gb(error: BaseException) -> float | None:
    """The memory that was asked for by torch's message, None where it says nothing."""
    match = ASKED.search(str(error))
    return float(match[1]) * UNIT_GB[match[2]] if match else None


def memory_now(device: torch.device) -> tuple[float, float]:
    """GB that are free, and GB that this process holds: of the GPU's memory, else of the machine's or the process's
    own limit, whichever is nearer.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 1e9, torch.cuda.memory_reserved(device) / 1e9
    return free_memory_gb(), process_memory_bytes() / 1e9


@contextmanager
def telling_of_memory(
    device: torch.device, savings: Callable[[], Sequence[tuple[str, float]]] = lambda: ()
) -> Iterator[None]:
    """Within it memory that runs out is a TrainingError. `savings`: gives settings that would take less, with GB."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(explain_out_of_memory(error, device, savings())) from error


def explain_out_of_memory(error: BaseException, device: torch.device, saved: Sequence[tuple[str, float]] = ()) -> str:
    """The message for a user. `saved`: settings that would take less, with the GB they save, the most first."""
    kind, (free_gb, held_gb) = "GPU memory" if device.type == "cuda" else "memory", memory_now(device)
    asked = asked_gb(error)
    needed = f"{_shown(asked)} more were needed" if asked is not None else "more was needed"
    found = f"out of {kind}: {needed}, {_shown(free_gb)} were free, the run held {_shown(held_gb)}"
    if not saved:
        return f"{found}; close what else uses memory, or choose a smaller model"
    return f"{found}; what helps most: {_listed(saved[:3])}"


def _listed(settings: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{setting} (saves about {_shown(gb)})" for setting, gb in settings)


def _shown(gb: float) -> str:
    return f"{gb:.3g} GB" if gb >= 0.1 else f"{1000 * gb:.3g} MB"
