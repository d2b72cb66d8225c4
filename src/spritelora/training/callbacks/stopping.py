"""The best of a run by validation loss: kept as a checkpoint, waited for, and taken where no better one comes."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from spritelora.errors import ResumeError
from spritelora.runs.layout import BEST, STATE_FOLDER
from spritelora.training.callbacks.checkpoints import Checkpoints, checkpoint_step, copy_checkpoint, step_name
from spritelora.training.callbacks.progress import StepCallback
from spritelora.training.callbacks.samples import Samples
from spritelora.training.module import LoraModule
from spritelora.training.state_files import read_state

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How the validation losses have gone. `waited`: validations since one was better by `min_improvement`."""

    best_loss: float = math.inf
    best_step: int = 0
    reference: float = math.inf
    waited: int = 0

    def take(self, loss: float, step: int, min_improvement: float) -> bool:
        """Take in a loss; returns whether it is the lowest so far."""
        if loss < self.reference - min_improvement or math.isinf(self.reference):
            self.reference, self.waited = loss, 0
        else:
            self.waited += 1
        if is_best := loss < self.best_loss:
            self.best_loss, self.best_step = loss, step
        return is_best


class BestCheckpoint(StepCallback):
    """Keeps `checkpoint_best`, and with `patience` above 0 ends the run where no improvement comes.

    The loss before the first step counts for nothing: it is the base's. With patience the best is the result of the
    run, so its samples are drawn at the end. To stand after validation and samples, before the other checkpoints.
    `stopped_at`: the step of the stop, None so far. `origin`: the checkpoint that the run goes on from.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        patience: int,
        min_improvement: float,
        samples: Samples | None,
        origin: Path | None,
    ) -> None:
        self.checkpoints, self.run_log, self.team = checkpoints, checkpoints.run_log, checkpoints.team
        self.patience, self.min_improvement, self.samples, self.origin = patience, min_improvement, samples, origin
        self.progress = Progress()
        self.stopped_at: int | None = None

    @property
    def folder(self) -> Path:
        """Where the best is kept."""
        return self.run_log.run_dir / BEST

    def is_over(self, trainer: pl.Trainer) -> bool:
        """Whether the run has come to its end, at its last step or before."""
        return self.stopped_at is not None or trainer.global_step >= trainer.max_steps

    def result_step(self, trainer: pl.Trainer) -> int:
        """The step whose weights are the run's result."""
        return self.progress.best_step if self.patience and self.progress.best_step else trainer.global_step

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        wanted = self.progress.best_step
        if not wanted or not self.team.share(self.team.is_first and not self._bring_best(wanted)):
            return
        log.warning(
            "the checkpoint of step %d, which had the lowest validation loss so far, is not there any more: the best "
            "is looked for anew from step %d on",
            wanted,
            trainer.global_step,
        )
        self.progress = Progress()

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        loss = self.run_log.value_at(step, "validation_loss")
        if loss is None:
            return
        if self.progress.take(loss, step, self.min_improvement):
            paused = self.checkpoints.meter.pause()
            self.checkpoints.save(trainer, BEST)
            log.info("%s is of step %d: validation loss %.4f", BEST, step, loss)
            self.run_log.summary["best"] = {"step": step, "validation_loss": loss}
            self.checkpoints.meter.go_on(paused)
        if self.patience and self.progress.waited >= self.patience:
            self.stopped_at = step
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Where the result is not of the last step: keep the last step too, to go on from, and draw the result."""
        step = self.result_step(trainer)
        if not self.is_over(trainer) or step == trainer.global_step:
            return
        last = self.run_log.run_dir / step_name(trainer.global_step)
        if not self.team.share(last.is_dir()):
            self.checkpoints.save(trainer, last.name)
        if self.samples is not None and not self.samples.has(step):
            self._restore_best(trainer, pl_module)
            self.samples.draw(trainer, pl_module, step)

    def finish(self, trainer: pl.Trainer, name: str) -> None:
        """Write the run's result as a checkpoint of that name."""
        if self.result_step(trainer) == trainer.global_step:
            self.checkpoints.save(trainer, name)
        elif self.team.is_first:
            copy_checkpoint(self.folder, self.run_log.run_dir / name)

    def state_dict(self) -> dict[str, Any]:
        return {**vars(self.progress)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.progress = Progress(**state_dict)
        if self.progress.best_step:
            told = {"step": self.progress.best_step, "validation_loss": self.progress.best_loss}
            self.run_log.summary["best"] = told

    def _bring_best(self, step: int) -> bool:
        """Whether the best is in the run's folder; a run that begins at another's checkpoint gets a copy of it."""
        if _is_of_step(self.folder, step):
            return True
        theirs = self.origin.parent / BEST if self.origin is not None else self.folder
        if self.folder.exists() or not _is_of_step(theirs, step):
            return False
        copy_checkpoint(theirs, self.folder)
        return True

    def _restore_best(self, trainer: pl.Trainer, module: LoraModule) -> None:
        state = read_state(self.folder / STATE_FOLDER)
        module.load_state_dict(state["state_dict"])
        trainer.strategy.load_optimizer_state_dict(state)
        if module.average is not None:
            module.average.go_back_to(state["callbacks"][module.average.state_key])


def _is_of_step(folder: Path, step: int) -> bool:
    try:
        return checkpoint_step(folder) == step
    except ResumeError:
        return False
