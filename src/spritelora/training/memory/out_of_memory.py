"""What to say where memory ran out: how much was asked for, how much was free, and which settings save how much."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spritelora.training.machine import free_memory_gb, process_memory_bytes

UNIT_GB = {"bytes": 1e-9, "KiB": 2**10 / 1e9, "MiB": 2**20 / 1e9, "GiB": 2**30 / 1e9}
ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)")
"""How both of torch's allocators say what was asked for."""

KEPT_BY_CHECKPOINTING = 0.2
"""Share of the activations that are still held with gradient checkpointing of all blocks."""

STATE_BYTES = {"8bit": 2, "Adafactor": 1, "Lion": 4, "Prodigy": 16}
"""Bytes of optimizer state for a trained parameter, by what is in the name of its class; AdamW's are 8."""


@dataclass(frozen=True)
class Demand:
    """What a run asks of memory: the settings that decide it, and the numbers of its parameters in millions.

    `gradient_checkpointing`: the share of the blocks.
    """

    batch_size: int
    resolution: int
    rank: int
    gradient_checkpointing: float
    precision_bytes: int
    optimizer: str
    base_m: float
    adapter_m: float

    @property
    def state_bytes(self) -> int:
        """Bytes of optimizer state for a trained parameter."""
        return next((n for word, n in STATE_BYTES.items() if word in self.optimizer), 8)

    @property
    def fixed_gb(self) -> float:
        """Base, adapter with its gradients, and optimizer state: all that does not grow with the images."""
        return (self.base_m * self.precision_bytes + self.adapter_m * (8 + self.state_bytes)) / 1e3


def asked_gb(error: BaseException) -> float | None:
    """What torch's message says was asked for, None where it says nothing."""
    match = ASKED.search(str(error))
    return float(match[1]) * UNIT_GB[match[2]] if match else None


def memory_now(device: torch.device) -> tuple[float, float]:
    """GB that are free, and GB that this process holds: of the GPU's memory, else of the machine's or the process's
    own limit, whichever is nearer.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 1e9, torch.cuda.memory_reserved(device) / 1e9
    return free_memory_gb(), process_memory_bytes() / 1e9


def savings(demand: Demand, used_gb: float) -> list[tuple[str, float]]:
    """Settings that would have needed less, with the GB they save, the most first.

    `used_gb`: what the run needed when it failed. What is above its fixed part is taken for activations.
    """
    activations = max(0.0, used_gb - demand.fixed_gb)
    kept = 1 - demand.gradient_checkpointing * (1 - KEPT_BY_CHECKPOINTING)
    adapter_gb = demand.adapter_m * (8 + demand.state_bytes) / 1e3
    found = {
        "trainer.batch_size=1": activations * (1 - 1 / demand.batch_size),
        "hardware.gradient_checkpointing=true": activations * (1 - KEPT_BY_CHECKPOINTING / kept),
        f"model.resolution={demand.resolution // 64 * 32}": activations * 0.75 if demand.resolution >= 64 else 0.0,
        "hardware.precision=bf16": demand.base_m * (demand.precision_bytes - 2) / 1e3,
        f"lora.rank={max(1, demand.rank // 2)}": adapter_gb / 2 if demand.rank > 1 else 0.0,
        "optim=adamw8bit": demand.adapter_m * max(0, demand.state_bytes - 2) / 1e3,
    }
    return sorted(((s, gb) for s, gb in found.items() if gb > 0), key=lambda pair: -pair[1])


def explain_out_of_memory(error: BaseException, device: torch.device, demand: Demand | None) -> str:
    """The message for a user. `demand`: None where memory ran out before the run's parts were known."""
    kind, (free_gb, held_gb) = "GPU memory" if device.type == "cuda" else "memory", memory_now(device)
    asked = asked_gb(error)
    needed = f"{_shown(asked)} more were needed" if asked is not None else "more was needed"
    found = f"out of {kind}: {needed}, {_shown(free_gb)} were free, the run held {_shown(held_gb)}"
    if demand is None:
        return f"{found}; close what else uses memory, or choose a smaller model"
    return f"{found}; what helps most: {_listed(savings(demand, held_gb + (asked or 0.0))[:3])}"


def _listed(settings: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{setting} (saves about {_shown(gb)})" for setting, gb in settings)


def _shown(gb: float) -> str:
    return f"{gb:.3g} GB" if gb >= 0.1 else f"{1000 * gb:.3g} MB"
