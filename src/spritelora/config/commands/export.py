"""Configuration of `scripts/export.py`: a run's LoRA as a file for other programs."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from spritelora.config.fields import key
from spritelora.config.train.adapter_keys import SaveDtype


class LoraFormat(Enum):
    """The forms of a LoRA file, by the names of its layers.

    `kohya`: ComfyUI, A1111, Forge, InvokeAI and diffusers. `diffusers`: diffusers. `peft`: a folder for PEFT.
    """

    kohya = "kohya"
    diffusers = "diffusers"
    peft = "peft"


@dataclass
class ExportConfig:
    """The settings of an export."""

    run: str = key(MISSING, "run folder, or one of its checkpoints", is_place=True)
    format: LoraFormat = key(LoraFormat.kohya, "form of the file")
    dtype: SaveDtype | None = key(None, "number format of the weights; unset: as the run saved them")
    output: str | None = key(
        None, "file to write, for peft a folder; unset: in the run's folder export/", is_place=True
    )
    overwrite: bool = key(False, "replace files that are there")
    title: str | None = key(None, "name of the LoRA in its metadata; unset: the run's", text=True)
    trigger: str | None = key(
        None,
        "words that call the style; unset: those that every caption of the training set has",
        text=True,
        if_empty="none",
    )
    thumbnail: str | None = key(
        None, "picture to put into the metadata; unset: the run's last sample; none: no picture", is_place=True
    )
    workflow: bool = key(False, "write a ComfyUI workflow beside the file, in its window's form and in its API's")
    checkpoint: str | None = key(
        None,
        "name of the base's checkpoint in the workflow, as ComfyUI lists it; unset: that of the run's base",
        text=True,
    )
    strength: float | None = key(
        None, "strength in the workflow; unset: the best that validation found, else 0.8", above=0, at_most=10
    )
    loras: list[str] = key([], "further LoRA files for the workflow, chained in this order", is_place=True)
    lora_strengths: list[float] = key([], "strength of each further LoRA; unset: 0.8 each", formerly=("strengths",))
    prompt: str | None = key(None, "prompt of the workflow; unset: the first of the run's samples", text=True)
    factor: int | None = key(
        None,
        "pixels of the drawn image for one of the sprite, by which the workflow scales down; unset: the run's, or 8",
        at_least=1,
    )
