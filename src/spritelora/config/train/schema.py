"""Every key of `train` that a user can set: its type, its meaning and its limits."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from omegaconf import MISSING

from spritelora import limits
from spritelora.config.fields import Affects, OnResume, key, section
from spritelora.config.plain import Section, flatten, plain
from spritelora.config.train.adapter_keys import (
    AdapterConfig,
    AdapterKind,
    LoraConfig,
    TargetsConfig,
    TextEncodersConfig,
)
from spritelora.config.train.data_keys import DataConfig
from spritelora.config.train.hardware_keys import HardwareConfig
from spritelora.config.train.loop_keys import OptimConfig, TrainerConfig, ValidationConfig


class Prediction(Enum):
    """The UNet's kind of prediction; `auto` reads it from the model's scheduler."""

    auto = "auto"
    epsilon = "epsilon"
    v_prediction = "v_prediction"


@dataclass
class ModelConfig:
    """The base model that the LoRA is trained on."""

    path: str | None = key(
        None,
        "SDXL: .safetensors file, diffusers folder or hub id; unset: the embedded base",
        is_place=True,
        need=4,
    )
    vae: str | None = key(
        None, "file or folder of another VAE, such as the fp16-fix; unset: the model's", is_place=True
    )
    tokenizer: str | None = key(None, "folder of CLIP's tokenizer, for single files; unset: looked for", is_place=True)
    resolution: int | str = key(
        MISSING,
        "side of square training images in pixels; others have about their area; auto: the base's smallest square on "
        "which most sprites have 8 px to a native pixel",
        choices=("auto",),
        at_least=32,
        at_most=limits.DRAWN_PX.most,
        multiple_of=32,
        affects=Affects.encodings,
        need=5,
    )
    prediction: Prediction = key(
        Prediction.auto, "what the UNet predicts; auto: as the model's scheduler says", affects=Affects.predictions
    )
    zero_terminal_snr: bool | None = key(
        None, "last timestep is noise alone; unset: as the model's scheduler says", affects=Affects.predictions
    )
    adam_lr: float = key(MISSING, "learning rate that suits this base with Adam at alpha/rank 1", above=0)

    @property
    def side_px(self) -> int:
        """The resolution, once it is a number."""
        assert isinstance(self.resolution, int), "settle_resolution comes first"
        return self.resolution


@dataclass
class ObjectiveConfig:
    """The settings of the training loss."""

    noise_offset: float = key(0.0, "size of a per-channel constant added to the noise", at_least=0)
    adaptive_offset: float = key(0.0, "added to noise_offset for each unit of |mean| of a latent channel")
    pyramid_levels: int = key(0, "coarser noises added to the noise, of each sample alone; 0: none", at_least=0)
    pyramid_discount: float = key(0.3, "size of each of them by the one before", above=0, at_most=1)
    perturbation: float = key(0.0, "size of the noise that the input has and the target has not", at_least=0)
    masked_loss: bool = key(False, "learn from the sprite's own pixels, little from background and padding", need=24)
    unmasked_weight: float = key(0.1, "with masked_loss: weight of background and padding", at_least=0, at_most=1)


@dataclass
class SamplerConfig:
    """The sample images."""

    steps: int = key(MISSING, "denoising steps", at_least=1, at_most=1000, affects=Affects.samples)
    guidance: float = key(MISSING, "classifier-free guidance; 1: none", at_least=1, affects=Affects.samples)
    prompts: list[str] = key(
        [],
        "prompts to draw as it learns; unset: captions of the set, half of them held out",
        text=True,
        affects=Affects.encodings,
        need=10,
    )
    negative_prompt: str = key(
        "", "what guidance moves away from", text=True, if_empty="nothing", affects=Affects.encodings
    )
    seed: int = key(0, "seed of the start noise", at_least=0, affects=Affects.samples)
    shapes: list[str] = key(
        ["auto"],
        "sizes of the images, width x height: auto (the canvas that most sprites lie on), or a list that the prompts "
        "take in turn, [832x1216,1024x1024]",
        text=True,
        at_least=1,
        affects=Affects.samples,
    )


@dataclass
class SweepConfig:
    """The settings of a job as a part of a sweep (`-m`)."""

    objective: str = key("validation_loss", "what sweepers minimise: a column of the results")
    stop_on_failure: bool = key(False, "leave out the jobs after one that failed", on_resume=OnResume.sweep)


@dataclass
class TrainConfig:
    """Settings of one training run."""

    seed: int = key(0, "seed of all random numbers: LoRA, order of the sprites, noise", at_least=0, need=30)
    output: str | None = key(
        None,
        "run folder; unset: outputs/train/<date>_<time>",
        is_place=True,
        on_resume=OnResume.run,
        is_told=False,
        need=2,
    )
    resume: str | None = key(
        None,
        "run folder to go on with, checkpoint to start a new run from, or auto; auto: the newest run of these settings",
        is_place=True,
        on_resume=OnResume.run,
        is_told=False,
        need=3,
    )
    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    lora: LoraConfig = section(LoraConfig)
    adapter: AdapterConfig = section(AdapterConfig)
    targets: TargetsConfig = section(TargetsConfig)
    text_encoders: TextEncodersConfig = section(TextEncodersConfig)
    optim: OptimConfig = section(OptimConfig)
    schedule: Any = key(MISSING, "learning-rate curve", targets=("spritelora.training.schedules.",))
    objective: ObjectiveConfig = section(ObjectiveConfig)
    weighting: Any = key(MISSING, "loss weight by timestep", targets=("spritelora.diffusion.weighting.",))
    loss: Any = key(MISSING, "error of a prediction", targets=("spritelora.diffusion.losses.",))
    timesteps: Any = key(MISSING, "how timesteps are drawn", targets=("spritelora.diffusion.timesteps.",))
    trainer: TrainerConfig = section(TrainerConfig)
    validation: ValidationConfig = section(ValidationConfig, affects=Affects.losses)
    hardware: HardwareConfig = section(HardwareConfig)
    sampler: SamplerConfig = section(SamplerConfig, on_resume=OnResume.run)
    logger: Any = key(
        MISSING,
        "where metrics and samples go",
        targets=("spritelora.training.loggers.",),
        on_resume=OnResume.sweep,
        is_told=False,
    )
    sweep: SweepConfig = section(SweepConfig, on_resume=OnResume.run, is_told=False)

    @property
    def file_alpha(self) -> float:
        """The alpha of a LoRA file, whose readers scale by alpha/rank: with rsLoRA, sqrt(rank) times the set one."""
        is_stabilised = self.adapter.kind is AdapterKind.rslora
        return self.lora.settled_alpha * (math.sqrt(self.lora.rank) if is_stabilised else 1.0)

    @property
    def sprites_a_step(self) -> int:
        """The global batch: sprites of one optimizer step, over all processes."""
        num_processes = self.hardware.devices * self.hardware.num_nodes
        return self.trainer.batch_size * self.trainer.accumulate * num_processes


def default_settings() -> Section:
    """The keys of a training that have a default, flat."""
    return {name: value for name, value in flatten(plain(TrainConfig())) if value != MISSING}
