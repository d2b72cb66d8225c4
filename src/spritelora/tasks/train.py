"""`train.py`: captioned sprites in, a LoRA out."""

import logging
import os
import warnings

from spritelora.config.invocation import Invocation
from spritelora.config.schema import TrainConfig
from spritelora.errors import TrainingError
from spritelora.tasks.training_set import read_training_set


def train(config: TrainConfig, invocation: Invocation) -> float:
    """Train one LoRA and write it into the run's directory. Returns the last validation loss."""
    try:
        sprites = read_training_set(config.data, config.model.resolution)
        prepare_libraries()
        from spritelora.tasks.fit import fit  # after the sprites are known to be right: torch is slow to import
        from spritelora.tasks.frozen import KEPT, Frozen

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # importing it has set its own level
        return fit(config, invocation, sprites, KEPT if invocation.sweep else Frozen())
    except OSError as error:
        if error.filename is None:
            raise
        raise TrainingError(
            f"{error.filename}: {error.strerror}; make room or give access, or name other folders with output= and "
            f"data.cache=; a run that had begun goes on with resume="
        ) from error


def prepare_libraries() -> None:
    """Keep to the lines that answer a user's question; to be called before the libraries are imported.

    W&B's reports about itself are off too.
    """
    # Threads that wait for one another by spinning stand still where another program holds a core: on two cores of
    # which one was busy, a forward pass took 40 times as long with the default, 4 times with this; idle, the same.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    for variable in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(variable, "error")
    for name in ("lightning_fabric", "bitsandbytes", "peft"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|diffusers|lightning|torch\.optim\.lr_scheduler)")
