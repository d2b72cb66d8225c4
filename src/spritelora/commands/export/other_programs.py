"""An exported LoRA in other programs: what keeps it from working there, and how they space a base's timesteps."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from spritelora.adapters.files.bases import is_of_embedded
from spritelora.adapters.files.inspect import loading_problems
from spritelora.adapters.files.lora_file import LoraFile
from spritelora.config.commands.export import ExportConfig, LoraFormat
from spritelora.program import typed
from spritelora.sdxl.files.base import BaseModel

CHOOSE = "choose the file of "
"""Stands in a workflow for the name of a checkpoint that is not known."""


def problems_elsewhere(
    config: ExportConfig, lora: LoraFile, others: Mapping[Path, LoraFile], checkpoint: str | None
) -> Iterator[str]:
    """Each problem in words.

    `others`: the further LoRA files of the workflow, where they are here. `checkpoint`: its first node's, None without
    a workflow.
    """
    is_embedded = is_of_embedded(lora)
    if is_embedded:
        yield (
            f"this LoRA fits the embedded base alone, of which ComfyUI and A1111 have no checkpoint: draw with it by "
            f"{typed('generate', f'run={config.run}')}; for a LoRA that they take, train with model=sdxl"
        )
    if checkpoint is None:
        return
    if config.format is not LoraFormat.kohya:
        yield f"ComfyUI does not load all of format={config.format.value}; the workflow needs format=kohya"
    if checkpoint.startswith(CHOOSE) and not is_embedded:
        yield (
            f"in the workflow's first node {checkpoint}: the run's base is a folder, and ComfyUI loads single files; "
            f"or export again with checkpoint=NAME.safetensors"
        )
    for file, other in others.items():
        yield from (f"{file}: {problem}" for problem in loading_problems(other))


def timestep_spacing(base_folder: Path) -> str:
    """The spacing of timesteps of the base's sampler; SDXL's own where the base is not here."""
    if not (base_folder / "scheduler").is_dir():
        return "leading"
    return BaseModel("", base_folder).config("scheduler").get("timestep_spacing", "leading")
