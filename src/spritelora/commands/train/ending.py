"""The end of a run: with its result, or before that at its time limit, at a signal, or for want of memory."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl

from spritelora.config.durations import parse_duration
from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import TimeUp
from spritelora.program import typed
from spritelora.runs.layout import FINAL
from spritelora.training.callbacks.checkpoints import TIME_UP
from spritelora.training.callbacks.samples import SAMPLES, step_folder
from spritelora.training.callbacks.stopping import BestCheckpoint
from spritelora.training.logs.run_log import RunLog

log = logging.getLogger(__name__)


def deadline_of(max_time: str | None) -> float | None:
    """The moment, of time.monotonic, at which a run that starts now is to stop; None for never."""
    seconds = parse_duration(max_time) if max_time is not None else None
    return None if seconds is None else time.monotonic() + seconds


def finish(
    trainer: pl.Trainer, run_log: RunLog, best: BestCheckpoint, measure: Callable[[Path], dict[str, Any]]
) -> None:
    """Write the summary and the final checkpoint of a run that ended well.

    `measure`: the summary's part about the sample images of a folder.
    """
    step = best.result_step(trainer)
    if best.stopped_at is not None:
        told = "ended at step %d of %d: no better validation loss in %d validations"
        log.info(told, best.stopped_at, trainer.max_steps, best.patience)
        run_log.summary["stopped_early_at"] = best.stopped_at
    if step != trainer.global_step:
        log.info("the result is step %d, which had the lowest validation loss", step)
        run_log.summary["result_step"] = step
    if best.team.is_first:
        run_log.summary |= measure(run_log.run_dir / SAMPLES / step_folder(step))
    run_log.write_summary("finished", trainer.global_step)
    if run_log.logger is not None:
        run_log.logger.finalize("success")
    best.finish(trainer, FINAL)  # last, for it says that the run ended well; W&B that fails stops nothing


def result_loss(run_log: RunLog, patience: int) -> float:
    """The validation loss of a run's result: its last, with patience its best."""
    best = run_log.summary.get("best")
    return best["validation_loss"] if patience and best else run_log.series()["validation_loss"][-1][1]


def end_before_its_end(config: TrainConfig, invocation: Invocation, status: int) -> NoReturn:
    """Say how to go on with a run that saved and stopped, and exit; a job of a sweep at its time limit lets others be.

    Raises SystemExit, or TimeUp.
    """
    is_time = status == TIME_UP
    why = f"at the time limit of {config.trainer.max_time}" if is_time else "on request"
    if invocation.sweep and is_time:
        raise TimeUp(f"stopped {why}")
    folder = invocation.run_dir.parent if invocation.sweep else invocation.run_dir
    log.info("stopped %s; to go on: %s", why, typed("train", f"resume={folder}"))
    raise SystemExit(status)
