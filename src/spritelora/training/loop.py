"""The events at the steps of a run, in their order: the one callback that Lightning's loop calls."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from spritelora.data.batch import Batch
from spritelora.runs.layout import BEST
from spritelora.training.callbacks.checkpoints import TIME_UP, Checkpoints, StopRequest, copy_checkpoint, step_name
from spritelora.training.callbacks.ema import AVERAGE, Average
from spritelora.training.callbacks.finite import FiniteGuard
from spritelora.training.callbacks.max_norm import limit_layers
from spritelora.training.callbacks.progress import FixedNoiseValidation, StepMeter
from spritelora.training.callbacks.pruning import Pruning
from spritelora.training.callbacks.samples import Samples
from spritelora.training.callbacks.stopping import BestCheckpoint
from spritelora.training.logs.run_log import RunLog
from spritelora.training.module import LoraModule
from spritelora.training.state_files import State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The parts of the steps of a run; none of them knows of the others. None: not asked for.

    `max_norm`: the largest norm of a layer's change, 0 for any.
    """

    stop: StopRequest
    guard: FiniteGuard
    meter: StepMeter
    validation: FixedNoiseValidation
    checkpoints: Checkpoints
    max_norm: float = 0.0
    average: Average | None = None
    pruning: Pruning | None = None
    samples: Samples | None = None
    best: BestCheckpoint | None = None

    @property
    def stateful(self) -> State:
        """The parts that a checkpoint keeps a state of, by their names there."""
        named = {
            "StepMeter": self.meter,
            AVERAGE: self.average,
            "BestCheckpoint": self.best,
            "Checkpoints": self.checkpoints,
        }
        return {name: part for name, part in named.items() if part is not None}


class StepEvents(pl.Callback):
    """Owns the order of what happens at a step, and whether the run ends after it.

    A step ends so: a stop is agreed on; losses are looked at and logged; the weights are limited and averaged; they are
    validated; the search, samples, the best and the checkpoints follow. Only the first part is time of training.
    `log_every`: steps from one look at the losses to the next. `on_first_step`: called when training begins.
    `validation_loss`: of the step, None where it has none. `pruned_at`, `stopped_at`: the step after which the search
    or the patience has ended the run, None so far.
    """

    def __init__(
        self, parts: Parts, run_log: RunLog, log_every: int, on_first_step: Callable[[], None] = lambda: None
    ) -> None:
        self.parts, self.run_log, self.log_every, self.on_first_step = parts, run_log, log_every, on_first_step
        self.team, self.clock = parts.checkpoints.team, parts.meter.clock
        self.has_begun = False
        self.validation_loss: float | None = None
        self.pruned_at: int | None = None
        self.stopped_at: int | None = None

    def is_over(self, trainer: pl.Trainer) -> bool:
        """Whether the run has come to its end, at its last step or before."""
        return self.stopped_at is not None or trainer.global_step >= trainer.max_steps

    def result_step(self, trainer: pl.Trainer) -> int:
        """The step whose weights are the run's result."""
        best = self.parts.best
        return best.result_step or trainer.global_step if best is not None else trainer.global_step

    def save(self, module: LoraModule, name: str) -> None:
        """Write a checkpoint of that name, if its state is worth keeping."""
        self.parts.guard.check(module, module.global_step)
        self.parts.checkpoints.save(module, name)

    def finish(self, module: LoraModule, name: str) -> None:
        """Write the run's result as a checkpoint of that name."""
        if self.result_step(module.trainer) == module.global_step:
            self.save(module, name)
        elif self.team.is_first:
            copy_checkpoint(self.run_log.run_dir / BEST, self.run_log.run_dir / name)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: State) -> None:
        checkpoint["callbacks"] |= {name: part.state_dict() for name, part in self.parts.stateful.items()}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: State) -> None:
        for name, part in self.parts.stateful.items():
            if state := checkpoint["callbacks"].get(name):
                part.load_state_dict(state)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._tell_best()
        if self.parts.average is not None:
            self.parts.average.begin(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        parts, step = self.parts, trainer.global_step
        self.has_begun = True
        parts.stop.listen()  # first, so that it holds while the others start
        parts.meter.begin(step, trainer.max_steps)
        with self.clock.paused():
            if not self.team.share(self.run_log.has("validation_loss")):
                parts.validation.measure(pl_module, step)
            if parts.samples is not None and step == 0:
                parts.samples.draw(pl_module, step)
            if parts.best is not None:
                parts.best.begin(step)
        self.on_first_step()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.clock.begin_pass()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        is_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        step, loss = trainer.global_step + (not is_step), outputs["loss"].detach()
        self.parts.guard.take_pass(step, loss, batch)
        self.parts.meter.take_pass(loss)
        if is_step:
            self._end_step(pl_module, step, step == trainer.max_steps)
        self.clock.end_pass()

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Where the result is not of the last step: keep the last step too, to go on from, and draw the result."""
        parts, step = self.parts, self.result_step(trainer)
        parts.meter.end()
        if parts.best is None or not self.is_over(trainer) or step == trainer.global_step:
            return
        last = self.run_log.run_dir / step_name(trainer.global_step)
        if not self.team.share(last.is_dir()):
            self.save(pl_module, last.name)
        if parts.samples is not None and not parts.samples.has(step):
            parts.best.restore(pl_module, parts.average)
            parts.samples.draw(pl_module, step)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        self.parts.meter.end()

    def _end_step(self, module: LoraModule, step: int, is_last: bool) -> None:
        parts, is_logged = self.parts, is_last or step % self.log_every == 0
        parts.stop.agree()
        parts.meter.take_step()
        if is_logged:
            parts.guard.check_losses()
            parts.meter.log(module, step)
        if parts.max_norm:
            num_scaled = limit_layers(module, parts.max_norm)
            if is_logged:
                self.run_log.log(step, {"layers_scaled": int(num_scaled)})
        if parts.average is not None:
            parts.average.update(module, step)
        with self.clock.paused():
            is_validated = is_last or _is_due(step, parts.validation.every)
            self.validation_loss = parts.validation.measure(module, step) if is_validated else None
            self._report(module, step)
            if parts.samples is not None and (is_last or _is_due(step, parts.samples.every)):
                parts.samples.draw(module, step)
            self._keep_best(module, step)
            self._save_step(module, step)

    def _report(self, module: LoraModule, step: int) -> None:
        """Tell the search of the step's validation loss, where there is one."""
        pruning, loss, last_step = self.parts.pruning, self.validation_loss, module.trainer.max_steps
        if pruning is not None and loss is not None and pruning.is_hopeless(loss, step, last_step):
            self.pruned_at = step
            module.trainer.should_stop = True

    def _keep_best(self, module: LoraModule, step: int) -> None:
        """Save the step where its validation loss is the lowest, and end the run where it has waited long enough."""
        best, loss = self.parts.best, self.validation_loss
        if best is None or loss is None:
            return
        if best.take(loss, step):
            self.save(module, BEST)
            log.info("%s is of step %d: validation loss %.4f", BEST, step, loss)
            self._tell_best()
        if best.is_over:
            self.stopped_at = step
            module.trainer.should_stop = True

    def _save_step(self, module: LoraModule, step: int) -> None:
        """Save the step where it is due or the run is asked to stop, which then ends."""
        status, is_due = self.parts.stop.status, _is_due(step, self.parts.checkpoints.every)
        if status is None and not is_due:
            return
        self.parts.guard.check(module, step)
        self.parts.checkpoints.save_step(module, step, is_own=is_due or status == TIME_UP)
        self.run_log.write_summary("running" if status is None else "stopped", step)
        module.trainer.should_stop = module.trainer.should_stop or status is not None

    def _tell_best(self) -> None:
        if self.parts.best is not None and self.parts.best.summary is not None:
            self.run_log.summary["best"] = self.parts.best.summary


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
