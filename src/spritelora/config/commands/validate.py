"""Configuration of `scripts/validate.py`: a LoRA against its base. What is unset, the run knows."""

from dataclasses import dataclass

from spritelora.config.commands.generate import BaseConfig, DrawConfig
from spritelora.config.fields import key, section
from spritelora.config.train.hardware_keys import Device, Precision

STRENGTHS = [0.5, 0.8, 1.0]


@dataclass
class ValidatedData:
    """The sprites that the LoRA was trained on."""

    path: str | None = key(None, "folder of captioned sprites; unset: the run's", is_place=True)
    cache: str | None = key(None, "folder of text embeddings computed once; unset: the run's", is_place=True)


@dataclass
class ValidationSampler(DrawConfig):
    """The settings of drawing; unset: those of the run's samples."""

    seed: int | None = key(None, "seed of the start noise; unset: the run's, or 0", at_least=0)


@dataclass
class ValidationHardware:
    """Device and precision."""

    device: Device = key(Device.auto, "where to draw")
    precision: Precision = key(Precision.auto, "arithmetic of the UNet")
    threads: int | None = key(None, "CPU threads; unset: torch's own choice", at_least=1)


@dataclass
class ValidateConfig:
    """The settings of a validation."""

    run: str | None = key(None, "run folder, or one of its checkpoints", is_place=True, need=1)
    loras: list[str] = key(
        [], "LoRA files to draw with instead of the run's own, all together", is_place=True, formerly=("lora",), need=2
    )
    lora_strengths: list[float] = key(
        [], "strength of each file of loras; unset: 1 each", formerly=("weights",), need=3
    )
    output: str | None = key(None, "folder to write; unset: RUN/validation", is_place=True, need=4)
    overwrite: bool = key(False, "replace an earlier validation in that folder", need=13)
    compare_base: bool = key(True, "draw with the base too; false: only the LoRA's own figures", need=11)
    strengths: list[float] = key(STRENGTHS, "strengths to draw with", at_least=1, need=5)
    strength: float | None = key(None, "one strength alone, instead of strengths", above=0, at_most=10, need=6)
    prompts_file: str | None = key(
        None,
        "new prompts, one a line, # for comments; unset: the run's sample prompts and the captions it held out",
        is_place=True,
        need=7,
    )
    num_prompts: int = key(8, "the most prompts from the training captions, and as many new ones", at_least=1, need=8)
    images_per_prompt: int = key(
        1, "images of each prompt, each from its own start noise", at_least=1, at_most=1000, need=9
    )
    batch_size: int = key(8, "images drawn at once", at_least=1, need=10)
    max_colours: int | None = key(
        None, "most colours of a usable sprite; unset: 16, or what training sprites have, if more", at_least=2, need=12
    )
    clip: str | None = key(None, "folder or hub id of a CLIP model, for prompt adherence", is_place=True, need=14)
    wandb: bool = key(False, "log the page's tables and images to W&B too, offline where no API key is set", need=15)
    project: str | None = key(
        None, "W&B project, or entity/project; unset: the run's, or spritelora", text=True, need=16
    )
    model: BaseConfig = section(BaseConfig)
    data: ValidatedData = section(ValidatedData)
    sampler: ValidationSampler = section(ValidationSampler)
    hardware: ValidationHardware = section(ValidationHardware)
