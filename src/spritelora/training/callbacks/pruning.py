"""A search is told of each validation loss, and may end the run for it."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl

from spritelora.data.team import Team
from spritelora.errors import TrainingError, first_line
from spritelora.training.callbacks.progress import StepCallback, StepMeter
from spritelora.training.callbacks.study import PRUNED_AT
from spritelora.training.logs.run_log import RunLog
from spritelora.training.module import LoraModule

if TYPE_CHECKING:
    from optuna.trial import Trial


class Pruning(StepCallback):
    """Reports each validation loss to a trial and stops a run that is hopeless; to stand after the validation.

    The loss before the first step is the same for all and is not reported. `pruned_at`: the step of the stop, None
    so far.
    """

    def __init__(self, run_log: RunLog, meter: StepMeter, trial: "Trial | None", team: Team | None = None) -> None:
        self.run_log, self.meter, self.trial, self.team = run_log, meter, trial, team or Team()
        self.pruned_at: int | None = None

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        loss = self.run_log.value_at(step, "validation_loss")
        if loss is None:
            return
        paused = self.meter.pause()
        if self.team.share(self.trial is not None and self._is_hopeless(self.trial, loss, step, trainer.max_steps)):
            self.pruned_at = step
            trainer.should_stop = True
        self.meter.go_on(paused)

    def _is_hopeless(self, trial: "Trial", loss: float, step: int, last_step: int) -> bool:
        try:
            trial.report(loss, step)
            if step == last_step or not trial.should_prune():
                return False
            trial.set_user_attr(PRUNED_AT, step)
            return True
        except Exception as error:  # SQLAlchemy and each database driver raise errors of their own
            raise TrainingError(
                f"trial {trial.number} cannot be reported to its study ({first_line(error)}); "
                f"start the search again: it goes on where it was"
            ) from error
