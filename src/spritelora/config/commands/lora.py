"""Configuration of `scripts/lora.py`: LoRA files, whoever made them."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from spritelora.config.commands.export import LoraFormat
from spritelora.config.fields import key
from spritelora.config.train.adapter_keys import SaveDtype


class Mode(Enum):
    """The ways of working on LoRA files: report on them, add several up, or lower the rank of one."""

    inspect = "inspect"
    merge = "merge"
    resize = "resize"


@dataclass
class LoraFilesConfig:
    """Which files, and what to do with them."""

    mode: Mode = key(MISSING, "inspect: what files hold; merge: several into one; resize: to a lower rank")
    loras: list[str] = key(
        MISSING, "LoRA files in kohya's or diffusers' form, folders of PEFT adapters", is_place=True, at_least=1
    )
    lora_strengths: list[float] = key([], "merge: strength of each file; unset: 1 each", formerly=("strengths",))
    rank: int | None = key(None, "resize: the rank to reach; merge: unset keeps all ranks, without loss", at_least=1)
    output: str | None = key(None, "file to write, for format=peft a folder", is_place=True)
    overwrite: bool = key(False, "replace a file that is there")
    format: LoraFormat = key(LoraFormat.kohya, "form of the file to write")
    dtype: SaveDtype | None = key(None, "number format of the weights; unset: that of the first file")
    base: str | None = key(
        None, "inspect: diffusers folder of the base model, for sizes relative to its weights", is_place=True
    )
    every_layer: bool = key(False, "tell the sizes or losses of every layer, not of blocks alone")
