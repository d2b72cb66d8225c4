"""All that the training loop of a run needs, loaded and encoded."""

from dataclasses import dataclass
from pathlib import Path

from spritelora.adapters.layers.earlier_files import Earlier
from spritelora.commands.train.frozen import Frozen
from spritelora.config.train.schema import TrainConfig
from spritelora.data.batch import Recipe
from spritelora.data.encode_set import Encoded
from spritelora.data.training_set import TrainingSet
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel
from spritelora.training.hardware import Hardware
from spritelora.training.logs.run_log import RunLog
from spritelora.training.module import LoraModule


@dataclass(frozen=True)
class Prepared:
    """A run before its first step.

    `config`: as settled for this machine. `frozen`: what the next job may use again. `checkpoint`: where the run goes
    on, None at step 0.
    """

    config: TrainConfig
    sprites: TrainingSet
    hardware: Hardware
    base: BaseModel
    earlier: Earlier
    frozen: Frozen
    encoded: Encoded
    recipe: Recipe
    module: LoraModule
    record: RunRecord
    checkpoint: Path | None
    run_log: RunLog
