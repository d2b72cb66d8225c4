"""`train.py`: captioned sprites in, a LoRA out."""

import logging
from pathlib import Path

from spritelora.commands.train.inputs import inputs_line
from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from spritelora.data.run_canvases import read_sizes
from spritelora.data.run_resolution import settle_resolution
from spritelora.data.training_set import read_training_set
from spritelora.errors import TrainingError
from spritelora.files import is_told
from spritelora.process import import_bitsandbytes, quick_imports
from spritelora.runs.record import RunRecord
from spritelora.runs.resume import way_on

log = logging.getLogger(__name__)


def train(config: TrainConfig, invocation: Invocation) -> float:
    """Train one LoRA and write it into the run's directory. Returns the last validation loss."""
    log.info("%s", inputs_line(config))
    try:
        read_sizes(config.sampler.shapes)  # a mistake in them is answered before the first step
        config = settle_resolution(config)
        side_px = config.model.side_px
        begun = RunRecord.read(Path(config.resume)).data_at(side_px) if config.resume is not None else None
        sprites = read_training_set(config.data, side_px, config.objective.masked_loss, begun, config.model.path)
        with quick_imports():  # after the sprites are known to be right: torch is slow to import
            import_bitsandbytes()
            from spritelora.commands.train.fit import fit
            from spritelora.commands.train.frozen import KEPT, Frozen

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # importing it has set its own level
        return fit(config, invocation, sprites, KEPT if invocation.sweep else Frozen())
    except OSError as error:
        if not is_told(error):
            raise
        raise TrainingError(
            f"{error.filename or invocation.run_dir}: {error.strerror}; make room or give access, or name other "
            f"folders with output= and data.cache=; {way_on(invocation.run_dir)}"
        ) from error
