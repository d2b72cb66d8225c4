"""Checkpoints: written whole or not at all, on optimizer steps; and the end of a run that was asked to stop."""

import json
import logging
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from safetensors import SafetensorError, safe_open

from spritelora.config.resume import CHECKPOINT_PATTERN, FINAL, RECORD, STATE_FOLDER
from spritelora.data.team import Team
from spritelora.errors import ResumeError, TrainingError
from spritelora.files import write_whole
from spritelora.training.callbacks import StepCallback, StepMeter
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import settled_weights
from spritelora.training.run_log import RunLog
from spritelora.training.state_files import STRUCTURE, TENSORS, sync

log = logging.getLogger(__name__)

LORA_FILE = "lora.safetensors"


class StopRequest(StepCallback):
    """Turns SIGTERM and Ctrl-C into a request to stop after the step; a second one stops at once.

    To stand first among the callbacks, so that it holds while the others start.
    """

    def __init__(self, team: Team | None = None) -> None:
        self.team = team or Team()
        self.received = self.agreed = 0
        self._before: dict[int, Any] = {}

    @property
    def signal(self) -> int | None:
        """What asked, None so far; the same in all processes, whichever of them has received it."""
        return (self.received if self.team.size == 1 else self.agreed) or None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back to whoever had them, so that they reach what comes after this run."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            raise SystemExit(128 + number)
        self.received = number

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        self.agreed = int(self.team.largest(self.received))


class Checkpoints(StepCallback):
    """Saves every `every` steps (0: never) and when a stop is asked for.

    `export` writes the LoRA file for a checkpoint at a step.
    """

    def __init__(
        self,
        run_log: RunLog,
        meter: StepMeter,
        stop: StopRequest,
        record: str,
        export: Callable[[Path, int], None],
        every: int,
    ) -> None:
        self.run_log, self.meter, self.stop, self.team = run_log, meter, stop, stop.team
        self.record, self.export, self.every = record, export, every

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        is_last = self.stop.signal is not None
        if is_last or (self.every and step % self.every == 0):
            paused = self.meter.pause()
            self.save(trainer, f"checkpoint_step_{step}")
            self.run_log.write_summary("stopped" if is_last else "running", step)
            self.meter.go_on(paused)
        if is_last:
            trainer.should_stop = True

    def save(self, trainer: pl.Trainer, name: str) -> None:
        """Write a checkpoint into the run's folder. All processes of a run have a part in it, the first one writes."""
        if not self.team.is_first:
            trainer.save_checkpoint(STATE_FOLDER)
            return
        folder = self.run_log.run_dir / name
        partial, replaced = (self.run_log.run_dir / f".{name}.{end}" for end in ("partial", "replaced"))
        try:
            shutil.rmtree(partial, ignore_errors=True)
            trainer.save_checkpoint(partial / STATE_FOLDER)
            write_whole(partial / STATE_FOLDER / RECORD, self.record)
            with settled_weights(trainer.optimizers[0]):
                self.export(partial / LORA_FILE, trainer.global_step)
            for path in (partial / LORA_FILE, partial / STATE_FOLDER, partial):
                sync(path)
            shutil.rmtree(replaced, ignore_errors=True)
            if folder.exists():
                folder.rename(replaced)
            partial.rename(folder)
            shutil.rmtree(replaced, ignore_errors=True)
            sync(self.run_log.run_dir)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise TrainingError(f"{folder}: cannot be written ({error}); free space, then resume the run") from error


def checkpoint_step(folder: Path) -> int:
    """The optimizer step of a checkpoint. Raises ResumeError where its state is not whole."""
    state = folder / STATE_FOLDER
    for name in (TENSORS, STRUCTURE, RECORD):
        if not (state / name).is_file():
            raise ResumeError(f"{folder}: {STATE_FOLDER}/{name} is missing; resume from another checkpoint")
    try:
        with safe_open(state / TENSORS, framework="pt"):
            content: Any = json.loads((state / STRUCTURE).read_text())
        return int(dict(content["dict"])["global_step"])
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ResumeError(f"{folder}: training state is damaged ({error}); resume from another checkpoint") from error


def newest_checkpoint(run_dir: Path) -> Path | None:
    """The whole checkpoint of a run with the highest step; damaged ones are passed over with a warning.

    None where the run has none at all. Raises ResumeError where all are damaged.
    """
    folders = [p for p in run_dir.iterdir() if p.is_dir() and CHECKPOINT_PATTERN.fullmatch(p.name)]
    problems: list[str] = []
    steps: dict[Path, int] = {}
    for folder in folders:
        try:
            steps[folder] = checkpoint_step(folder)
        except ResumeError as error:
            problems.append(str(error))
    if folders and not steps:
        raise ResumeError("no checkpoint can be read\n  " + "\n  ".join(problems))
    for problem in problems:
        log.warning("passed over: %s", problem)
    return max(steps, key=lambda f: steps[f], default=None)


def reopen_run(run_dir: Path, checkpoint: Path | None) -> Path | None:
    """Turn a finished run's last checkpoint into one of its steps, for a run that goes on has no final one.

    A damaged one is put aside. Returns where `checkpoint` is afterwards.
    """
    final = run_dir / FINAL
    if not final.is_dir():
        return checkpoint
    try:
        step = run_dir / f"checkpoint_step_{checkpoint_step(final)}"
    except ResumeError:
        final.rename(run_dir / f"damaged_{final.name}")
        return checkpoint
    if not step.exists():
        final.rename(step)
    else:
        _keep_the_whole_one(step, final)
    return step if checkpoint is not None and checkpoint.resolve() == final.resolve() else checkpoint


def _keep_the_whole_one(step: Path, final: Path) -> None:
    try:
        checkpoint_step(step)
    except ResumeError:
        step.rename(step.with_name(f"damaged_{step.name}"))
        final.rename(step)
    else:
        shutil.rmtree(final)
