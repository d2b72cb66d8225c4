"""Every key of `train` that a user can set: its type, its meaning and its limits."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from omegaconf import MISSING

from spritelora.config.fields import key, section


class Prediction(Enum):
    """What the UNet predicts; `auto` reads it from the model's scheduler."""

    auto = "auto"
    epsilon = "epsilon"
    v_prediction = "v_prediction"


class Device(Enum):
    """Where training runs; `auto` takes a CUDA device where there is one."""

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


class SaveDtype(Enum):
    """Number format of the exported LoRA weights."""

    fp16 = "fp16"
    bf16 = "bf16"
    fp32 = "fp32"


@dataclass
class ModelConfig:
    """The base model that the LoRA is trained on."""

    path: str | None = key(
        None,
        ".safetensors file, diffusers folder or hub id of an SDXL model; unset: the embedded base",
        text=True,
    )
    vae: str | None = key(None, "file or folder of another VAE, such as the fp16-fix; unset: the model's", text=True)
    tokenizer: str | None = key(None, "folder of CLIP's tokenizer, for single files; unset: looked for", text=True)
    resolution: int = key(MISSING, "side of the square training images in pixels", at_least=32, multiple_of=32)
    prediction: Prediction = key(Prediction.auto, "what the UNet predicts; auto: as the model's scheduler says")
    zero_terminal_snr: bool | None = key(None, "last timestep is noise alone; unset: as the model's scheduler says")
    adam_lr: float = key(MISSING, "learning rate that suits this base with Adam at alpha/rank 1", above=0)


class Split(Enum):
    """What the hold-out keeps together.

    `group`: a character, sheet or folder, by the sprite's folder and its name without the number at its end; sets
    whose groups are too large for that are split by sprite. `sprite`: nothing.
    """

    group = "group"
    sprite = "sprite"


@dataclass
class AugmentConfig:
    """Variants that keep every native pixel: the training sprites are shown in them in turn."""

    flip: bool = key(False, "mirror sprites; left and right change places in their captions")
    shift: int = key(0, "move sprites by up to this many native pixels within their padding", at_least=0, at_most=8)
    turn: bool = key(False, "turn sprites by right angles, for tiles; not those whose caption names a direction")
    variants: int = key(16, "the most variants of one sprite, itself among them; more cost time and memory", at_least=1)


@dataclass
class DataConfig:
    """The captioned sprites."""

    path: str | None = key(None, "folder of sprites with same-stem .txt captions; unset: the demo set", text=True)
    limit: int | None = key(None, "train on a seeded choice of this many sprites", at_least=1)
    holdout: float = key(0.1, "share of the sprites kept for the validation loss", at_least=0, at_most=0.5)
    split: Split = key(Split.group, "what the hold-out keeps together: group (character, sheet, folder) or sprite")
    caption_dropout: float = key(0.0, "share of samples trained without their caption", at_least=0, at_most=1)
    shuffle_tags: bool = key(False, "show captions with the phrases between their commas in several orders")
    keep_tags: int = key(1, "phrases at the start of a caption that shuffle_tags leaves in place", at_least=0)
    caption_variants: int = key(4, "orders of one caption, as written among them", at_least=2, at_most=64)
    augment: AugmentConfig = section(AugmentConfig)
    matte: str = key("auto", "colour under transparent pixels, #rrggbb; auto: one that no sprite has", text=True)
    cache: str = key("~/.cache/spritelora", "folder of the latents and text embeddings computed once", text=True)


@dataclass
class LoraConfig:
    """Size and strength of the adapter."""

    rank: int = key(MISSING, "rank of every adapted layer", at_least=1)
    alpha: float | None = key(None, "strength; deltas are scaled by alpha/rank; unset: equal to the rank", above=0)
    dropout: float = key(0.0, "share of adapter inputs dropped in training", at_least=0, at_most=0.9)
    save_dtype: SaveDtype = key(SaveDtype.fp16, "number format of lora.safetensors")

    @property
    def settled_alpha(self) -> float:
        """Alpha as given, or equal to the rank."""
        return float(self.rank) if self.alpha is None else self.alpha


class AdapterKind(Enum):
    """How an adapter changes a layer: the kind, apart from its rank.

    `lora`: by up @ down times alpha/rank. `rslora`: the same times alpha/sqrt(rank).
    """

    lora = "lora"
    rslora = "rslora"


@dataclass
class AdapterConfig:
    """The kind of the adapter."""

    kind: AdapterKind = key(AdapterKind.lora, "deltas are scaled by alpha/rank (lora) or alpha/sqrt(rank) (rslora)")


@dataclass
class TargetsConfig:
    """The UNet layers that get an adapter."""

    modules: list[str] = key(MISSING, "endings of layer names, for example to_q or ff.net.2", at_least=1)


OPTIMIZERS = (
    "torch.optim.",
    "bitsandbytes.optim.",
    "transformers.optimization.Adafactor",
    "prodigyopt.",
    "schedulefree.",
)


@dataclass
class OptimConfig:
    """The optimizer and its rate."""

    _target_: str = key(MISSING, "optimizer class", targets=OPTIMIZERS)
    lr: float = key(MISSING, "learning rate", above=0)
    weight_decay: float = key(0.01, "weight decay", at_least=0)
    betas: list[float] | None = key(None, "running-average factors; unset: the optimizer's own")
    args: dict[str, Any] = key({}, "further arguments of the optimizer class")


@dataclass
class ObjectiveConfig:
    """What the training loss asks for."""

    noise_offset: float = key(0.0, "size of a per-channel constant added to the noise", at_least=0)
    adaptive_offset: float = key(0.0, "added to noise_offset for each unit of |mean| of a latent channel")
    pyramid_levels: int = key(0, "coarser noises added to the noise, of each sample alone; 0: none", at_least=0)
    pyramid_discount: float = key(0.3, "size of each of them by the one before", above=0, at_most=1)
    perturbation: float = key(0.0, "size of the noise that the input has and the target has not", at_least=0)
    masked_loss: bool = key(False, "average the loss over the sprite's own area, not over matte and padding")
    unmasked_weight: float = key(0.0, "weight of matte and padding with masked_loss", at_least=0, at_most=1)


@dataclass
class TrainerConfig:
    """The training loop; steps are optimizer steps."""

    max_steps: int = key(MISSING, "optimizer steps of the whole run", at_least=1)
    batch_size: int = key(MISSING, "sprites in one forward pass of one process", at_least=1)
    accumulate: int = key(1, "forward passes added up for one optimizer step", at_least=1)
    clip_norm: float = key(1.0, "largest gradient norm; 0: no clipping", at_least=0)
    save_every: int = key(MISSING, "steps between checkpoints; 0: only the final one", at_least=0)
    sample_every: int = key(MISSING, "steps between sample images; 0: none", at_least=0)
    validate_every: int = key(MISSING, "steps between validation losses; 0: only first and last", at_least=0)
    log_every: int = key(MISSING, "steps between logged losses", at_least=1)


@dataclass
class ValidationConfig:
    """The fixed-noise validation loss on held-out sprites."""

    bands: int = key(4, "timestep bands, equal parts of the noise schedule", at_least=1, at_most=20)
    draws: int = key(2, "noise draws for each sprite and band", at_least=1)
    limit: int = key(256, "the most sprites it is measured on, evenly spread over those held out", at_least=1)


@dataclass
class HardwareConfig:
    """Device, precision and memory savings."""

    device: Device = key(Device.auto, "where to train")
    precision: Precision = key(Precision.auto, "arithmetic of the training step")
    gradient_checkpointing: bool = key(False, "recompute activations in the backward pass: less memory, slower")
    threads: int | None = key(None, "CPU threads of a process; unset: torch's own choice, shared out", at_least=1)
    devices: int = key(1, "processes on each machine, each with a GPU or a share of the CPU", at_least=1)
    num_nodes: int = key(1, "machines; torchrun and Slurm set this and devices by themselves", at_least=1)


@dataclass
class SamplerConfig:
    """The sample images."""

    steps: int = key(MISSING, "denoising steps", at_least=1, at_most=1000)
    guidance: float = key(MISSING, "classifier-free guidance; 1: none", at_least=1)
    prompts: list[str] = key(MISSING, "prompts, the same at every step", text=True, at_least=1)
    negative_prompt: str = key("", "what guidance moves away from", text=True)
    seed: int = key(0, "seed of the start noise", at_least=0)


@dataclass
class SweepConfig:
    """What concerns a job of a sweep (`-m`) as a part of it."""

    objective: str = key("validation_loss", "what sweepers minimise: a column of the results")
    stop_on_failure: bool = key(False, "leave out the jobs after one that failed")


@dataclass
class TrainConfig:
    """Settings of one training run."""

    seed: int = key(0, "seed of adapter, data order and noise", at_least=0)
    output: str | None = key(None, "run directory; unset: outputs/train/<date>_<time>", text=True)
    resume: str | None = key(None, "run directory to continue, or checkpoint to start a new run from", text=True)
    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    lora: LoraConfig = section(LoraConfig)
    adapter: AdapterConfig = section(AdapterConfig)
    targets: TargetsConfig = section(TargetsConfig)
    optim: OptimConfig = section(OptimConfig)
    schedule: Any = key(MISSING, "learning-rate curve", targets=("spritelora.training.schedules.",))
    objective: ObjectiveConfig = section(ObjectiveConfig)
    weighting: Any = key(MISSING, "loss weight by timestep", targets=("spritelora.diffusion.weighting.",))
    loss: Any = key(MISSING, "error of a prediction", targets=("spritelora.diffusion.losses.",))
    timesteps: Any = key(MISSING, "how timesteps are drawn", targets=("spritelora.diffusion.timesteps.",))
    trainer: TrainerConfig = section(TrainerConfig)
    validation: ValidationConfig = section(ValidationConfig)
    hardware: HardwareConfig = section(HardwareConfig)
    sampler: SamplerConfig = section(SamplerConfig)
    logger: Any = key(MISSING, "where metrics and samples go", targets=("spritelora.training.loggers.",))
    sweep: SweepConfig = section(SweepConfig)

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
