"""Losses and weights that are no numbers: found at the first bad one, before a checkpoint is written from them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from spritelora.data.batch import Batch
from spritelora.data.team import Team
from spritelora.errors import ResumeError, TrainingError
from spritelora.training.callbacks.checkpoints import newest_checkpoint
from spritelora.training.callbacks.progress import StepCallback
from spritelora.training.module import LoraModule


class Pass(NamedTuple):
    """A forward pass as it stays on the device: its step, loss, timesteps, and places of its samples in the set."""

    step: int
    loss: Tensor
    timesteps: Tensor
    indices: Tensor


class FiniteGuard(StepCallback):
    """Ends the run with a TrainingError where a loss or a weight has become NaN or infinite.

    The losses stay on the device, with what they are of, and are looked at every `check_every` steps and before each
    checkpoint: the host waits for the device no more often. To stand before all that uses the weights. `names`: of the
    sprites, by place.
    """

    def __init__(self, names: Sequence[str], run_dir: Path, check_every: int, team: Team | None = None) -> None:
        self.names, self.run_dir, self.check_every, self.team = names, run_dir, check_every, team or Team()
        self.passes: list[Pass] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        number = batch_idx % trainer.accumulate_grad_batches + 1
        step = trainer.global_step + (number < trainer.accumulate_grad_batches)
        self.passes.append(Pass(step, outputs["loss"].detach(), batch.timesteps, batch.indices))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        if step % self.check_every == 0 or step == trainer.max_steps:
            self.check_losses()

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
