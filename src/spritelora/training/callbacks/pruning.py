"""A search is told of each validation loss, and may end the run for it."""

from typing import TYPE_CHECKING

from spritelora.data.team import Team
from spritelora.errors import TrainingError, first_line
from spritelora.training.callbacks.study import PRUNED_AT

if TYPE_CHECKING:
    from optuna.trial import Trial


class Pruning:
    """Reports each validation loss to the trial that the first process has, where the run is one of a search.

    The loss before the first step is the same for all and is not reported.
    """

    def __init__(self, trial: "Trial | None", team: Team | None = None) -> None:
        self.trial, self.team = trial, team or Team()

    def is_hopeless(self, loss: float, step: int, last_step: int) -> bool:
        """Report the loss of a step; returns whether the search wants the run to end, the same in all processes."""
        return self.team.share(self.trial is not None and self._report(self.trial, loss, step, last_step))

    def _report(self, trial: "Trial", loss: float, step: int, last_step: int) -> bool:
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
