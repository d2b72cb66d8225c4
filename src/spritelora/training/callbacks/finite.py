"""Losses and weights that are no numbers: found at the first bad one, before a checkpoint is written from them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spritelora.data.batch import Batch
from spritelora.data.team import Team
from spritelora.errors import ResumeError, TrainingError
from spritelora.training.callbacks.checkpoints import newest_checkpoint


class Pass(NamedTuple):
    """A forward pass as it stays on the device: its step, loss, timesteps, and places of its samples in the set."""

    step: int
    loss: Tensor
    timesteps: Tensor
    indices: Tensor


class FiniteGuard:
    """Ends the run with a TrainingError where a loss or a weight has become NaN or infinite.

    The losses stay on the device, with what they are of, until they are looked at: the host waits for the device no
    more often. `names`: of the sprites, by place.
    """

    def __init__(self, names: Sequence[str], run_dir: Path, team: Team | None = None) -> None:
        self.names, self.run_dir, self.team = names, run_dir, team or Team()
        self.passes: list[Pass] = []

    def take_pass(self, step: int, loss: Tensor, batch: Batch) -> None:
        """Keep the loss of a forward pass of a step, to be looked at."""
        self.passes.append(Pass(step, loss, batch.timesteps, batch.indices))

    def check_losses(self) -> None:
        """Raise TrainingError for the first loss since the last check that is no number, in any process."""
        passes, self.passes = self.passes, []
        losses = torch.stack([p.loss for p in passes]).tolist() if passes else []
        bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
        self._meet(None if bad is None else self._describe(passes[bad], losses[bad]))

    def check(self, module: nn.Module, step: int) -> None:
        """Raise TrainingError unless losses and trained weights are numbers; to be called before a checkpoint."""
        self.check_losses()
        trained = [p.detach() for p in module.parameters() if p.requires_grad]
        is_finite = bool(torch.stack(torch._foreach_norm(trained, math.inf)).isfinite().all())
        self._meet(None if is_finite else f"the adapter's weights are not finite after step {step}, its losses were")

    def _describe(self, found: Pass, loss: float) -> str:
        shown = zip(found.indices.tolist(), found.timesteps.tolist(), strict=True)
        samples = ", ".join(f"{self.names[place]} at timestep {timestep}" for place, timestep in shown)
        return f"the loss became {loss} at step {found.step}, in the batch of {samples}"

    def _meet(self, problem: str | None) -> None:
        error = None if problem is None else TrainingError(f"{problem}; {self._way_on()}")
        self.team.meet(None, error)

    def _way_on(self) -> str:
        try:
            kept = newest_checkpoint(self.run_dir)
        except ResumeError:
            kept = None
        last_good = f"the last good checkpoint is {kept}" if kept else "there is no checkpoint before it"
        return f"{last_good}; start a new run with a lower optim.lr, and look at these sprites if it comes again"
