"""Configuration of `scripts/benchmark.py`."""

from dataclasses import dataclass
from enum import Enum

from spritelora import limits
from spritelora.config.fields import key
from spritelora.config.train.hardware_keys import BaseFormat, Device, Precision

GEOMETRIES = ("tiny", "sdxl")


class BenchmarkMode(Enum):
    """The kinds of measurement. `train`: steps of the training loop. `sample`: images, beside a plain diffusers
    pipeline where a whole model is there. `command`: `train.py` from start to end, with a cold and a warm cache.
    `project`: what a chip that is not here would take for SDXL at 1024 px. `suite`: all that is to be known of a
    device, within `minutes`.
    """

    train = "train"
    sample = "sample"
    command = "command"
    project = "project"
    suite = "suite"


class SuiteSize(Enum):
    """Models of the suite's figures of speed: SDXL at full size, or the embedded base, for a trial on a CPU."""

    full = "full"
    small = "small"


class BenchmarkOptim(Enum):
    """Optimizers whose steps can be timed."""

    adamw = "adamw"
    adamw8bit = "adamw8bit"
    paged_adamw8bit = "paged_adamw8bit"


@dataclass
class BenchmarkConfig:
    """The settings of a measurement."""

    mode: BenchmarkMode = key(BenchmarkMode.train, "train, sample, command, project or suite")
    model: str = key(
        "tiny", "tiny, sdxl (full size with random weights), or a diffusers folder of an SDXL model", is_place=True
    )
    resolution: int | None = key(
        None,
        "side of the images in pixels; unset: 128, of sdxl 1024",
        at_least=32,
        at_most=limits.DRAWN_PX.most,
        multiple_of=32,
    )
    batch_size: int = key(1, "images of one forward pass", at_least=1)
    rank: int = key(32, "rank of the LoRA", at_least=1)
    targets: list[str] = key(["to_q", "to_k", "to_v", "to_out.0"], "endings of the adapted layers", at_least=1)
    gradient_checkpointing: bool | float = key(
        False,
        "recompute activations in the backward pass: true, false, or a share of the blocks",
        at_least=0,
        at_most=1,
    )
    compile: bool = key(False, "of mode=train: torch.compile of the UNet's transformer blocks")
    device: Device = key(Device.auto, "where to run")
    precision: Precision = key(Precision.auto, "arithmetic of the UNet")
    base: BaseFormat = key(BaseFormat.full, "of mode=train: number format of the frozen base: full, half, int8, nf4")
    optim: BenchmarkOptim = key(BenchmarkOptim.adamw, "of mode=train: the optimizer")
    threads: int | None = key(None, "CPU threads; unset: torch's own choice", at_least=1)
    rounds: int = key(5, "how often a figure is taken; the median and the spread are told", at_least=1)
    steps: int = key(4, "training steps, or batches of images, of one round", at_least=1)
    warmup: int = key(2, "training steps or batches before the first round", at_least=1)
    sampling_steps: int = key(25, "denoising steps of an image", at_least=1)
    guidance: float = key(8.0, "classifier-free guidance; 1: none", at_least=1)
    overrides: list[str] = key([], "of mode=command: what is typed after train", text=True)
    until_loss: float | None = key(
        None, "of mode=command: tell the time until the validation loss is as low (see trainer.validate_every)", above=0
    )
    peer: str | None = key(None, "a shell command to time beside ours, in turn with it", text=True)
    chip_tflop_per_s: float = key(92.0, "of mode=project: the chip's bf16 matrix rate; GB10: 92 to 125", above=0)
    chip_gb_per_s: float = key(273.0, "of mode=project: the chip's memory bandwidth", above=0)
    share: float = key(0.5, "of mode=project: share of the matrix rate that is reached", above=0, at_most=1)
    minutes: float = key(5.0, "of mode=suite: time limit; the most telling parts come first", above=0)
    size: SuiteSize = key(SuiteSize.full, "of mode=suite: full (SDXL at 1024 px) or small (the embedded base)")
    parts: list[str] = key([], "of mode=suite: names of the parts to run; empty: all", text=True)
    peers: str | None = key(
        None, "of mode=suite: folder with other trainers' scripts to time on the same base and images", is_place=True
    )
    output: str | None = key(
        None,
        "file to write the figures to as JSON, of mode=suite a new folder; they are printed in any case",
        is_place=True,
    )
