"""A search is told of each validation loss, and may end the run for it."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl

from spritelora.errors import TrainingError, first_line
from spritelora.training.callbacks import StepCallback, StepMeter
from spritelora.training.module import LoraModule
from spritelora.training.run_log import RunLog
from spritelora.training.study import PRUNED_AT

if TYPE_CHECKING:
    from optuna.trial import Trial


class Pruning(StepCallback):
    """Reports each validation loss to a trial and stops a run that is hopeless; to stand after the validation.

    The loss before the first step is the same for all and is not reported. `pruned_at`: the step of the stop, None
    so far.
    """

    def __init__(self, run_log: RunLog, meter: StepMeter, trial: "Trial | None") -> None:
        self.run_log, self.meter, self.trial = run_log, meter, trial
        self.pruned_at: int | None = None

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        loss = self.run_log.value_at(step, "validation_loss")
        if self.trial is None or loss is None:
            return
        paused = self.meter.pause()
        try:
            self.trial.report(loss, step)
            if step < trainer.max_steps and self.trial.should_prune():
                self.trial.set_user_attr(PRUNED_AT, step)
                self.pruned_at = step
                trainer.should_stop = True
        except Exception as error:  # SQLAlchemy and each database driver raise errors of their own
            raise TrainingError(
                f"trial {self.trial.number} cannot be reported to its study ({first_line(error)}); "
                f"start the search again: it goes on where it was"
            ) from error
        self.meter.go_on(paused)
