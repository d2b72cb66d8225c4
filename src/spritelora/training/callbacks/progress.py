"""Numbers of training steps: the clock, the log and the progress bar, and the validation loss."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from spritelora.data.batch import Batch
from spritelora.data.team import Team
from spritelora.training.hardware import peak_memory_gb
from spritelora.training.logs.run_log import RunLog
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import base_rate
from spritelora.training.state_files import State

SMOOTHING = 0.95


class Clock:
    """The time that training has taken since the last restart, and how much of it was spent waiting for data."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self.waited_s = 0.0
        self.started = self.pass_ended = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the restart, without the pauses."""
        return time.perf_counter() - self.started

    def begin_pass(self) -> None:
        """A batch has come."""
        self.waited_s += time.perf_counter() - self.pass_ended

    def end_pass(self) -> None:
        """The next batch is waited for."""
        self.pass_ended = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves work that is no training out of the time."""
        paused = time.perf_counter()
        yield
        away_s = time.perf_counter() - paused
        self.started += away_s
        self.pass_ended += away_s


class StepMeter:
    """Measures every step, logs what it has measured, and shows a progress bar.

    The logged loss is the mean since the last logged one, over all processes.
    """

    def __init__(
        self, run_log: RunLog, clock: Clock, sprites_a_step: int, team: Team | None = None, show_bar: bool = True
    ) -> None:
        self.run_log, self.clock, self.sprites_a_step, self.team = run_log, clock, sprites_a_step, team or Team()
        self.show_bar = show_bar and self.team.is_first
        self.losses: list[Tensor] = []
        self.pass_losses: list[Tensor] = []
        self.num_steps = 0
        self.smoothed = math.nan
        self.bar: tqdm[Any] | None = None

    def begin(self, step: int, max_steps: int) -> None:
        """Show the bar and start the clock."""
        self.bar = tqdm(
            total=max_steps,
            initial=step,
            desc="training",
            mininterval=0.2 if _is_terminal() else 10.0,
            bar_format="{l_bar}{bar:20}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
            disable=not self.show_bar,
        )
        self._restart()

    def end(self) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def take_pass(self, loss: Tensor) -> None:
        """Take in the loss of a forward pass, as its share of the step's."""
        self.pass_losses.append(loss)

    def take_step(self) -> None:
        """Count a step, whose passes have been taken in."""
        if self.bar is not None:
            self.bar.update()
        self.losses.append(torch.stack(self.pass_losses).mean() * len(self.pass_losses))
        self.pass_losses = []
        self.num_steps += 1

    def log(self, module: LoraModule, step: int) -> None:
        """Log the means of the steps since the last time."""
        loss = self.team.sums([float(torch.stack(self.losses).mean()) / self.team.size])[0]
        elapsed_s = self.clock.elapsed_s
        values = {
            "loss": loss,
            "lr": base_rate(module.optimizer) * module.rate_share(step - 1),
            "step_time_s": elapsed_s / self.num_steps,
            "images_per_s": self.num_steps * self.sprites_a_step / elapsed_s,
            "data_wait_share": self.clock.waited_s / elapsed_s,
            "peak_gb": peak_memory_gb(module.device),
        }
        self.run_log.log(step, values)
        self._show(values)
        self.losses = []
        self._restart()

    def state_dict(self) -> State:
        """The state with which a resumed run goes on with the same means."""
        means = [x / self.team.size for x in self.team.sums([float(x) for x in self.losses])]
        return {"losses": means, "smoothed": self.smoothed}

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from such a state."""
        self.losses = [torch.tensor(x) for x in state_dict["losses"]]
        self.smoothed = state_dict["smoothed"]

    def _show(self, values: dict[str, float]) -> None:
        keep = SMOOTHING**self.num_steps
        self.smoothed = (
            values["loss"] if math.isnan(self.smoothed) else keep * self.smoothed + (1 - keep) * values["loss"]
        )
        if self.bar is not None:
            self.bar.set_postfix_str(
                f"loss {self.smoothed:.4f}, lr {values['lr']:.2e}, {values['step_time_s']:.3g} s/step, "
                f"{values['images_per_s']:.3g} sprites/s, {values['data_wait_share']:.0%} waiting for data, "
                f"peak {values['peak_gb']:.2f} GB",
                refresh=False,
            )

    def _restart(self) -> None:
        self.num_steps = 0
        self.clock.restart()


class FixedNoiseValidation:
    """The unweighted loss of held-out sprites by timestep band, with noise that is the same at every step and run.

    Each process measures its share of the batches. `remember`: how the losses before the first step are come by, which
    are the base's, for a new adapter changes nothing: another run may have measured them.
    """

    def __init__(
        self,
        run_log: RunLog,
        batches: Mapping[str, Sequence[Batch]],
        every: int,
        team: Team | None = None,
        remember: Callable[[Callable[[], dict[str, float]]], dict[str, float]] = lambda measure: measure(),
    ) -> None:
        self.run_log, self.every, self.team = run_log, every, team or Team()
        self.batches = {band: b[self.team.place.rank :: self.team.size] for band, b in batches.items()}
        self.remember = remember

    def measure(self, module: LoraModule, step: int) -> float:
        """Log the loss of each band at a step; returns their mean."""
        losses = self._losses(module) if step else self.remember(lambda: self._losses(module))
        mean = sum(losses.values()) / len(losses)
        self.run_log.log(step, {"validation_loss": mean, **{f"validation_loss_{b}": x for b, x in losses.items()}})
        return mean

    def _losses(self, module: LoraModule) -> dict[str, float]:
        with module.as_result(), torch.no_grad():
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
