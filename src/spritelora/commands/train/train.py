"""`train.py`: captioned sprites in, a LoRA out."""

import errno
import logging

from spritelora.commands.train.inputs import inputs_line
from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from spritelora.data.training_set import read_training_set
from spritelora.errors import TrainingError
from spritelora.process import import_bitsandbytes, quick_imports

log = logging.getLogger(__name__)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, a quota and a limit of file sizes; of a file that is open already they name none."""


def train(config: TrainConfig, invocation: Invocation) -> float:
    """Train one LoRA and write it into the run's directory. Returns the last validation loss."""
    log.info("%s", inputs_line(config))
    try:
        sprites = read_training_set(config.data, config.model.resolution, config.objective.masked_loss)
        with quick_imports():  # after the sprites are known to be right: torch is slow to import
            import_bitsandbytes()
            from spritelora.commands.train.fit import fit
            from spritelora.commands.train.frozen import KEPT, Frozen

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # importing it has set its own level
        return fit(config, invocation, sprites, KEPT if invocation.sweep else Frozen())
    except OSError as error:
        if error.filename is None and error.errno not in NO_ROOM:
            raise
        raise TrainingError(
            f"{error.filename or invocation.run_dir}: {error.strerror}; make room or give access, or name other "
            f"folders with output= and data.cache=; a run that had begun goes on with resume="
        ) from error
