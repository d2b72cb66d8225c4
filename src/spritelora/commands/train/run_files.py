"""The outputs of a run besides its checkpoints: its record, its numbers, its logger."""

from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from spritelora.commands.train.record import public_settings, to_json
from spritelora.config.invocation import Invocation
from spritelora.config.strict import import_target
from spritelora.config.train.schema import TrainConfig
from spritelora.files import write_whole
from spritelora.runs.layout import RECORD
from spritelora.runs.record import RunRecord
from spritelora.training.loggers import RunIdentity, TrainingLogger
from spritelora.training.logs.run_log import RunLog


def open_log(config: TrainConfig, run_dir: Path, record: RunRecord, first_step: int) -> RunLog:
    """Write the run's record and open its log."""
    write_whole(run_dir / RECORD, to_json(record))
    options = Invocation(run_dir, tuple(record.overrides)).options
    identity = RunIdentity(run_dir, record.name, record.id, record.sweep, public_settings(record), options)
    return RunLog(run_dir, _open_logger(config.logger, identity), first_step)


def _open_logger(settings: dict[str, Any], identity: RunIdentity) -> Logger:
    arguments = {k: v for k, v in settings.items() if k != "_target_"}
    return import_target(settings["_target_"])(identity, **arguments)


def close_logger(logger: Logger, lora: Path) -> None:
    """End a logger, with the LoRA file for one that keeps it."""
    if isinstance(logger, TrainingLogger):
        logger.close(lora if lora.is_file() else None)
    else:
        logger.finalize("success")
