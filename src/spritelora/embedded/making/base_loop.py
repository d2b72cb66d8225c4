"""The loop that the parts of the base are trained with: AdamW, warm-up, decay, moving average, exact resume."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from spritelora.embedded.making.shared_steps import any_of, average_gradients, mean_of, rank
from spritelora.errors import TrainingError
from spritelora.files import write_whole
from spritelora.weight_files.container import open_tensors

logger = logging.getLogger(__name__)

DIVERGED = 4.0
"""Training stops where the loss of a logged stretch is so many times its lowest; the last state is kept."""


@dataclass(frozen=True)
class StepPlan:
    """The length and the rates of a training; rates are per optimizer step."""

    num_steps: int
    learning_rate: float
    warmup_steps: int
    decay_share: float
    """The share of the steps over which the rate falls along a cosine, at the end."""
    final_rate_share: float = 0.03
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    average_decay: float = 0.999
    save_every: int = 200
    save_every_s: float = math.inf
    """Seconds after which the state is written too, for steps that are slow."""
    log_every: int = 20


def rate_share(step: int, plan: StepPlan) -> float:
    """The share of the peak learning rate that the step with this number, from 0, takes."""
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    decay_steps = max(1, round(plan.decay_share * plan.num_steps))
    progress = (step - (plan.num_steps - decay_steps)) / decay_steps
    if progress <= 0:
        return 1.0
    cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return plan.final_rate_share + (1 - plan.final_rate_share) * cosine


class Trained:
    """Parameters with their optimizer, their moving average and the number of steps taken."""

    def __init__(self, module: nn.Module, plan: StepPlan) -> None:
        self.module = module
        self.parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self.num_steps_taken = 0

    def save(self, path: Path) -> None:
        """Write everything that goes on from here to one safetensors file, by replacement; the first process does."""
        if rank() > 0:
            return
        tensors: dict[str, Tensor] = {}
        for name, value in self.parameters.items():
            tensors[f"weight.{name}"] = value.detach().contiguous()
            tensors[f"average.{name}"] = self.average[name].contiguous()
            for key, moment in self.optimizer.state[value].items():
                tensors[f"{key}.{name}"] = moment.contiguous()
        write_whole(path, save(tensors, {"num_steps_taken": str(self.num_steps_taken)}))

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        with open_tensors(path) as state:
            self.num_steps_taken = int(state.metadata()["num_steps_taken"])
            saved = set(state.keys())
            for name, value in self.parameters.items():
                value.data.copy_(state.get_tensor(f"weight.{name}"))
                self.average[name].copy_(state.get_tensor(f"average.{name}"))
                # The last layer of the first text encoder takes no part, and has no moments.
                if f"exp_avg.{name}" in saved:
                    self.optimizer.state[value] = {
                        "step": state.get_tensor(f"step.{name}").to(value.device),
                        # As the parameter lies in memory: the fused optimizer reads both in that order.
                        "exp_avg": torch.empty_like(value).copy_(state.get_tensor(f"exp_avg.{name}")),
                        "exp_avg_sq": torch.empty_like(value).copy_(state.get_tensor(f"exp_avg_sq.{name}")),
                    }

    def use_average(self) -> None:
        """Put the moving average in the place of the weights."""
        for name, value in self.parameters.items():
            value.data.copy_(self.average[name])


def never() -> bool:
    """A time limit that there is not."""
    return False


def train(
    module: nn.Module,
    loss_at: Callable[[int], Tensor],
    plan: StepPlan,
    state_path: Path,
    is_time_up: Callable[[], bool] = never,
) -> bool:
    """Train to the plan's last step, from the state file where there is one, and leave the average in the module.

    Returns whether it came so far: it saves and stops before that once `is_time_up`. `loss_at` takes the step's number,
    from 0; it must draw its random numbers from that alone, so that a resumed run sees the same ones.
    """
    trained = Trained(module, plan)
    if state_path.exists():
        trained.load(state_path)
        logger.info("resuming %s at step %d", state_path.name, trained.num_steps_taken)
    losses: list[float] = []
    lowest_loss = math.inf
    started, started_at = time.monotonic(), trained.num_steps_taken
    saved, saved_at = started, trained.num_steps_taken
    while trained.num_steps_taken < plan.num_steps and not any_of(is_time_up()):
        step = trained.num_steps_taken
        losses.append(take_step(trained, loss_at(step), plan))
        if trained.num_steps_taken % plan.log_every == 0:
            mean_loss = mean_of(sum(losses) / len(losses))
            lowest_loss = min(lowest_loss, mean_loss)
            if mean_loss > DIVERGED * lowest_loss:
                raise TrainingError(
                    f"step {step + 1}: the loss rose from {lowest_loss:.3g} to {mean_loss:.3g}; {state_path} holds the "
                    f"state of an earlier step, to go on from with a learning rate below {plan.learning_rate:g}"
                )
            step_s = (time.monotonic() - started) / (trained.num_steps_taken - started_at)
            left_min = (plan.num_steps - trained.num_steps_taken) * step_s / 60
            logger.info("step %d: loss %.5f, %.2f s/step, %.0f min left", step + 1, mean_loss, step_s, left_min)
            losses.clear()
        if trained.num_steps_taken % plan.save_every == 0 or time.monotonic() - saved > plan.save_every_s:
            trained.save(state_path)
            saved, saved_at = time.monotonic(), trained.num_steps_taken
    if trained.num_steps_taken != saved_at:
        trained.save(state_path)
    trained.use_average()
    return trained.num_steps_taken >= plan.num_steps


def take_step(trained: Trained, loss: Tensor, plan: StepPlan) -> float:
    """One optimizer step and its share of the moving average. Returns the loss."""
    step = trained.num_steps_taken
    loss.backward()
    average_gradients(trained.parameters.values())
    nn.utils.clip_grad_norm_(trained.parameters.values(), plan.clip_norm, error_if_nonfinite=True)
    for group in trained.optimizer.param_groups:
        group["lr"] = plan.learning_rate * rate_share(step, plan)
    trained.optimizer.step()
    trained.optimizer.zero_grad()
    decay = min(plan.average_decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, average in trained.average.items():
            average.lerp_(trained.parameters[name], 1 - decay)
    trained.num_steps_taken += 1
    return loss.item()
