"""Where training runs and in what arithmetic."""

from dataclasses import dataclass
from enum import Enum

from spritelora.config.fields import Affects, OnResume, key

NO_MPS = (
    "a Mac's GPU is not supported: PyTorch gives it no 64-bit numbers, which the noise schedule is computed in, and a "
    "resumed run has not been shown to end in the same weights on it; leave it out, and the CPU is taken"
)
"""Why `mps` is no device here."""


class Device(Enum):
    """Where training runs; `auto` takes a CUDA device where there is one, else the CPU."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(Enum):
    """Arithmetic of the training step.

    `auto`: `mixed16` on a GPU, `fp32` on a CPU. `mixed16`: 16-bit autocast, bf16 where the device has
    it, else fp16 with loss scaling.
    """

    auto = "auto"
    mixed16 = "mixed16"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class BaseFormat(Enum):
    """Number format of the frozen base's transformers.

    `auto`: the most exact that fits. `full`: that of the training. `half`: 16 bits a weight beside fp32 arithmetic, the
    same numbers where the model's file is fp16. `int8`, `nf4`: 8 and 4 bits a weight through bitsandbytes.
    """

    auto = "auto"
    full = "full"
    half = "half"
    int8 = "int8"
    nf4 = "nf4"


@dataclass
class HardwareConfig:
    """Device, precision and memory savings."""

    device: Device = key(Device.auto, "where to train", on_resume=OnResume.sweep)
    precision: Precision = key(Precision.auto, "arithmetic of the training step")
    base: BaseFormat = key(BaseFormat.auto, "number format of the frozen base: auto, full, half, int8, nf4", need=29)
    gradient_checkpointing: bool | float | None = key(
        None,
        "recompute activations in the backward pass: less memory, slower; true, false, or a share of the blocks, as "
        "0.4; unset: as many as memory asks for",
        at_least=0,
        at_most=1,
        on_resume=OnResume.run,
    )
    compile: bool = key(
        False, "torch.compile of the UNet's transformer blocks: minutes before the first step, quicker steps after it"
    )
    threads: int | None = key(
        None,
        "CPU threads of a process; unset: torch's own choice, shared out",
        at_least=1,
        on_resume=OnResume.sweep,
        affects=Affects.predictions,
    )
    devices: int = key(
        1, "processes on each machine, each with a GPU or a share of the CPU", at_least=1, on_resume=OnResume.run
    )
    join_timeout: str = key(
        "10m",
        "how long the processes of a run wait for one that does not come, such as 10m or 1h",
        is_duration=True,
        on_resume=OnResume.run,
    )
    num_nodes: int = key(
        1, "machines; torchrun and Slurm set this and devices by themselves", at_least=1, on_resume=OnResume.run
    )
