"""The best of a run by validation loss: kept as a checkpoint, waited for, and taken where no better one comes."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from spritelora.data.team import Team
from spritelora.errors import ResumeError
from spritelora.files import JsonObject
from spritelora.runs.layout import BEST, STATE_FOLDER
from spritelora.training.callbacks.checkpoints import checkpoint_step, copy_checkpoint
from spritelora.training.callbacks.ema import AVERAGE, Average
from spritelora.training.module import LoraModule
from spritelora.training.state_files import read_state

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """The course of the validation losses. `waited`: validations since one was better by `min_improvement`."""

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


class BestCheckpoint:
    """Knows which step was the best, and with `patience` above 0 whether to wait for a better one.

    The loss before the first step counts for nothing: it is the base's. `origin`: the checkpoint that the run goes on
    from.
    """

    def __init__(
        self, run_dir: Path, patience: int, min_improvement: float, origin: Path | None, team: Team | None = None
    ) -> None:
        self.folder, self.patience, self.min_improvement = run_dir / BEST, patience, min_improvement
        self.origin, self.team = origin, team or Team()
        self.progress = Progress()

    @property
    def result_step(self) -> int | None:
        """The step that the run results in with patience; None where it is the last."""
        return self.progress.best_step or None if self.patience else None

    @property
    def summary(self) -> JsonObject | None:
        """The summary's entry about the best checkpoint, None so far."""
        if not self.progress.best_step:
            return None
        return {"step": self.progress.best_step, "validation_loss": self.progress.best_loss}

    def begin(self, step: int) -> None:
        """Have the best in the run's folder, or look for it anew."""
        wanted = self.progress.best_step
        if not wanted or not self.team.share(self.team.is_first and not self._bring_best(wanted)):
            return
        log.warning(
            "the checkpoint of step %d, which had the lowest validation loss so far, is not there any more: the best "
            "is looked for anew from step %d on",
            wanted,
            step,
        )
        self.progress = Progress()

    def take(self, loss: float, step: int) -> bool:
        """Take in a validation loss; returns whether it is the lowest so far."""
        return self.progress.take(loss, step, self.min_improvement)

    @property
    def is_over(self) -> bool:
        """Whether the run has waited long enough."""
        return self.patience > 0 and self.progress.waited >= self.patience

    def restore(self, module: LoraModule, average: Average | None) -> None:
        """Give the module the weights of the best again."""
        state = read_state(self.folder / STATE_FOLDER)
        module.load_state_dict(state["state_dict"])
        module.trainer.strategy.load_optimizer_state_dict(state)
        if average is not None:
            average.go_back_to(state["callbacks"][AVERAGE])

    def state_dict(self) -> JsonObject:
        """The course of the losses."""
        return {**vars(self.progress)}

    def load_state_dict(self, state_dict: JsonObject) -> None:
        """Go on from such a state."""
        self.progress = Progress(**state_dict)

    def _bring_best(self, step: int) -> bool:
        """Whether the best is in the run's folder; a run that begins at another's checkpoint gets a copy of it."""
        if _is_of_step(self.folder, step):
            return True
        theirs = self.origin.parent / BEST if self.origin is not None else self.folder
        if self.folder.exists() or not _is_of_step(theirs, step):
            return False
        copy_checkpoint(theirs, self.folder)
        return True


def _is_of_step(folder: Path, step: int) -> bool:
    try:
        return checkpoint_step(folder) == step
    except ResumeError:
        return False
