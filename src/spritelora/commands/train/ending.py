"""The end of a run: with its result, or before that at its time limit, at a signal, or for want of memory."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytorch_lightning as pl

from spritelora.commands.train.frozen import colours_kept
from spritelora.commands.train.prepared import Prepared
from spritelora.commands.train.sample_metrics import measure_samples
from spritelora.config.durations import parse_duration
from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import Pruned, TimeUp
from spritelora.program import typed
from spritelora.runs.layout import FINAL, LORA_FILE
from spritelora.training.callbacks.checkpoints import TIME_UP
from spritelora.training.callbacks.samples import SAMPLES, step_folder
from spritelora.training.loggers import TrainingLogger
from spritelora.training.logs.run_log import RunLog
from spritelora.training.loop import StepEvents

log = logging.getLogger(__name__)


def deadline_of(max_time: str | None) -> float | None:
    """The moment, of time.monotonic, at which a run that starts now is to stop; None for never."""
    seconds = parse_duration(max_time) if max_time is not None else None
    return None if seconds is None else time.monotonic() + seconds


def finish(prepared: Prepared, trainer: pl.Trainer, events: StepEvents) -> None:
    """Write the summary and the final checkpoint of a run that ended well."""
    run_log, settings, step = prepared.run_log, prepared.config.trainer, events.result_step(trainer)
    if events.stopped_at is not None:
        told = "ended at step %d of %d: no better validation loss in %d validations"
        log.info(told, events.stopped_at, settings.max_steps, settings.patience)
        run_log.summary["stopped_early_at"] = events.stopped_at
    if step != trainer.global_step:
        log.info("the result is step %d, which had the lowest validation loss", step)
        run_log.summary["result_step"] = step
    folder = run_log.run_dir / SAMPLES / step_folder(step)
    if events.team.is_first and settings.sample_every and folder.is_dir():
        colours = colours_kept(prepared.frozen, prepared.config, prepared.sprites)
        run_log.summary["samples"] = measure_samples(folder, prepared.sprites, colours)
    run_log.write_summary("finished", trainer.global_step)
    if run_log.logger is not None:
        run_log.logger.finalize("success")
    events.finish(prepared.module, FINAL)  # last, for it says that the run ended well; W&B that fails stops nothing


def end_pruned(run_log: RunLog, events: StepEvents, last_step: int) -> NoReturn:
    """Write the summary of a run that its search has ended. Raises Pruned."""
    step, loss = events.pruned_at or 0, events.validation_loss
    run_log.write_summary("pruned", step)
    log.info("pruned at step %d of %d: validation loss %.4f", step, last_step, loss)
    raise Pruned(f"pruned at step {step} of {last_step}")


@contextmanager
def closing(run_log: RunLog) -> Iterator[None]:
    """Ends the run's logger with the block, with the LoRA file for one that keeps it."""
    try:
        yield
    finally:
        if isinstance(run_log.logger, TrainingLogger):
            lora = run_log.run_dir / FINAL / LORA_FILE
            run_log.logger.close(lora if lora.is_file() else None)
        elif run_log.logger is not None:
            run_log.logger.finalize("success")


def result_loss(prepared: Prepared) -> float:
    """The validation loss of a run's result: its last, with patience its best."""
    best = prepared.run_log.summary.get("best")
    if prepared.config.trainer.patience and best:
        return best["validation_loss"]
    return prepared.run_log.series()["validation_loss"][-1][1]


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
