"""What happens at optimizer steps: numbers, progress bar, validation loss. Samples and checkpoints have modules of
their own.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm

from spritelora.data.batch import Batch
from spritelora.data.team import Team
from spritelora.training.hardware import peak_memory_gb
from spritelora.training.logs.run_log import RunLog
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import base_rate

SMOOTHING = 0.95


class StepCallback(pl.Callback):
    """A callback that is told of whole optimizer steps, counted from 1."""

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        """Called after optimizer step number `step`."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.on_optimizer_step(trainer, pl_module, trainer.global_step)


class StepMeter(StepCallback):
    """Measures every step, logs every `log_every`-th and shows a progress bar.

    The logged loss is the mean since the last logged one, over all processes. `batch_size`: images of one forward pass
    of one process.
    """

    def __init__(
        self, run_log: RunLog, log_every: int, batch_size: int, team: Team | None = None, show_bar: bool = True
    ) -> None:
        self.run_log, self.log_every, self.team = run_log, log_every, team or Team()
        self.batch_size, self.show_bar = batch_size * self.team.size, show_bar and self.team.is_first
        self.losses: list[torch.Tensor] = []
        self.pass_losses: list[torch.Tensor] = []
        self.passes = 0
        self.smoothed = math.nan
        self.waited_s = 0.0
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        total = trainer.max_steps
        mininterval = 0.2 if _is_terminal() else 10.0
        bar_format = "{l_bar}{bar:20}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
        self.bar = tqdm(
            total=total,
            initial=trainer.global_step,
            desc="training",
            mininterval=mininterval,
            bar_format=bar_format,
            disable=not self.show_bar,
        )
        self._restart_clock()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.waited_s += time.perf_counter() - self.batch_ended

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.pass_losses.append(outputs["loss"].detach())
        self.passes += 1
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self.batch_ended = time.perf_counter()

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        assert self.bar is not None
        self.bar.update()
        accumulate = trainer.accumulate_grad_batches
        self.losses.append(torch.stack(self.pass_losses).mean() * accumulate)
        self.pass_losses = []
        if step % self.log_every and step != trainer.max_steps:
            return
        elapsed_s = time.perf_counter() - self.window_started
        loss = self.team.sums([float(torch.stack(self.losses).mean()) / self.team.size])[0]
        steps = self.passes / accumulate
        values = {
            "loss": loss,
            "lr": base_rate(trainer.optimizers[0]) * module.rate_share(step - 1),
            "step_time_s": elapsed_s / steps,
            "images_per_s": self.passes * self.batch_size / elapsed_s,
            "data_wait_share": self.waited_s / elapsed_s,
            "peak_gb": peak_memory_gb(module.device),
        }
        self.run_log.log(step, values)
        self._show(values, steps)
        self.losses = []
        self._restart_clock()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.on_train_end(trainer, pl_module)

    def pause(self) -> float:
        """A moment before work that is no training, to be given to `go_on` after it."""
        return time.perf_counter()

    def go_on(self, paused: float) -> None:
        """Leave the time since `paused` out of the step time."""
        away = time.perf_counter() - paused
        self.window_started += away
        self.batch_ended += away

    def state_dict(self) -> dict[str, Any]:
        means = [x / self.team.size for x in self.team.sums([float(x) for x in self.losses])]
        return {"losses": means, "smoothed": self.smoothed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses = [torch.tensor(x) for x in state_dict["losses"]]
        self.smoothed = state_dict["smoothed"]

    def _show(self, values: dict[str, float], steps: float) -> None:
        assert self.bar is not None
        keep = SMOOTHING**steps
        self.smoothed = (
            values["loss"] if math.isnan(self.smoothed) else keep * self.smoothed + (1 - keep) * values["loss"]
        )
        self.bar.set_postfix_str(
            f"loss {self.smoothed:.4f}, lr {values['lr']:.2e}, {values['step_time_s']:.3g} s/step, "
            f"{values['images_per_s']:.3g} images/s, {values['data_wait_share']:.0%} waiting for data, "
            f"peak {values['peak_gb']:.2f} GB",
            refresh=False,
        )

    def _restart_clock(self) -> None:
        self.passes = 0
        self.waited_s = 0.0
        self.window_started = self.batch_ended = time.perf_counter()


class FixedNoiseValidation(StepCallback):
    """The unweighted loss of held-out sprites by timestep band, with noise that is the same at every step and run.

    Each process measures its share of the batches. `remember`: how the losses before the first step are come by, which
    are the base's, for a new adapter changes nothing: another run may have measured them.
    """

    def __init__(
        self,
        run_log: RunLog,
        meter: StepMeter,
        batches: Mapping[str, Sequence[Batch]],
        every: int,
        team: Team | None = None,
        remember: Callable[[Callable[[], dict[str, float]]], dict[str, float]] = lambda measure: measure(),
    ) -> None:
        self.run_log, self.meter, self.every, self.team = run_log, meter, every, team or Team()
        self.batches = {band: b[self.team.place.rank :: self.team.size] for band, b in batches.items()}
        self.remember = remember

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if not self.team.share(self.run_log.has("validation_loss")):
            self._measure(trainer, pl_module, trainer.global_step)

    def on_optimizer_step(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        if step == trainer.max_steps or (self.every and step % self.every == 0):
            self._measure(trainer, module, step)

    def _measure(self, trainer: pl.Trainer, module: LoraModule, step: int) -> None:
        paused = self.meter.pause()
        losses = self._losses(trainer, module) if step else self.remember(lambda: self._losses(trainer, module))
        mean = sum(losses.values()) / len(losses)
        self.run_log.log(step, {"validation_loss": mean, **{f"validation_loss_{b}": x for b, x in losses.items()}})
        self.meter.go_on(paused)

    def _losses(self, trainer: pl.Trainer, module: LoraModule) -> dict[str, float]:
        with module.as_result(), torch.no_grad(), trainer.precision_plugin.forward_context():
            sums = self.team.sums([x for batches in self.batches.values() for x in self._sum(module, batches)])
        return {band: sums[2 * i] / sums[2 * i + 1] for i, band in enumerate(self.batches)}

    def _sum(self, module: LoraModule, batches: Sequence[Batch]) -> tuple[float, int]:
        """The sum of all samples' losses, and their number."""
        on_device = (Batch(*(t.to(module.device) for t in batch)) for batch in batches)
        total = sum(
            float(module.objective.plain_loss(module.unet, module.with_text(batch))) * len(batch.indices)
            for batch in on_device
        )
        return total, sum(len(batch.indices) for batch in batches)


def _is_terminal() -> bool:
    return sys.stderr.isatty()
