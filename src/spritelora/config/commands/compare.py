"""Configuration of `scripts/compare.py`: runs, LoRA files or a sweep in one table."""

from dataclasses import dataclass

from spritelora.config.commands.validate import ValidateConfig
from spritelora.config.fields import key, section


@dataclass
class CompareConfig:
    """The settings of a comparison."""

    runs: list[str] = key([], "run folders, LoRA files, and folders of sweeps", is_place=True, at_least=1, need=1)
    names: list[str] = key([], "a name for each, in their order; unset: their own", text=True, need=2)
    output: str | None = key(None, "folder to write; unset: outputs/compare/<date>_<time>", is_place=True, need=3)
    overwrite: bool = key(False, "replace an earlier comparison in that folder", need=7)
    sort: str | None = key(
        None, "column that orders the rows, those without it last; unset: validation_loss, else name", text=True, need=4
    )
    descending: bool | None = key(None, "the largest first; unset: the best first where the column has one", need=5)
    measure: bool = key(False, "validate what has no validation yet, as validation.* says", need=6)
    wandb: bool = key(False, "log the page's tables and images to W&B too, offline where no API key is set", need=8)
    project: str | None = key(None, "W&B project, or entity/project; unset: spritelora", text=True, need=9)
    validation: ValidateConfig = section(ValidateConfig, "how measure=true validates", need=10)
