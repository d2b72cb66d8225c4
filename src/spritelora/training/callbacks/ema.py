"""A running average of the adapter's weights, which is then what a run validates, draws with and exports."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spritelora.errors import ResumeError
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import settled_weights
from spritelora.training.state_files import State

AVERAGE = "Average"
"""Where a checkpoint's state keeps the average among the states of other parts."""


def decay_at(step: int, decay: float) -> float:
    """The share of the old average that step number `step`, from 1, keeps: min(decay, (1 + n) / (10 + n)).

    n: the steps before it. So the first steps, whose weights are hardly trained, are soon forgotten. Source: the
    `num_updates` of tf.train.ExponentialMovingAverage.
    """
    return min(decay, step / (9 + step))


class Average:
    """The exponential moving average of the weights that the optimizer has settled on, updated after every step.

    The average lives on the training device, in the order of the module's parameters.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}

    def begin(self, module: LoraModule) -> None:
        """Become the module's average, from where the run begins. Raises ResumeError for one of another adapter."""
        trained = _trained(module)
        if self.weights and self.weights.keys() != trained.keys():
            different = sorted(self.weights.keys() ^ trained.keys())
            raise ResumeError(f"the checkpoint's average is of another adapter: {different[0]} and more differ")
        source = self.weights or trained
        self.weights = {name: source[name].detach().to(p.device, copy=True) for name, p in trained.items()}
        module.average = self

    @torch.no_grad()
    def update(self, module: LoraModule, step: int) -> None:
        """Take in the weights after a step."""
        with settled_weights(module.optimizer):
            now = [p.detach() for p in _trained(module).values()]
            torch._foreach_lerp_(list(self.weights.values()), now, 1 - decay_at(step, self.decay))

    @contextmanager
    def in_place(self, module: LoraModule) -> Iterator[None]:
        """Within it the module's weights are the average; afterwards they are to the bit what they were."""
        trained = _trained(module)
        kept = {name: p.detach().clone() for name, p in trained.items()}
        _copy(self.weights, trained)
        try:
            yield
        finally:
            _copy(kept, trained)

    def go_back_to(self, state: State) -> None:
        """Be what it was when that state was taken."""
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])

    def state_dict(self) -> State:
        """The average."""
        return {"weights": self.weights}

    def load_state_dict(self, state_dict: State) -> None:
        """Begin with an average."""
        self.weights = state_dict["weights"]


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, nn.Parameter]) -> None:
    for name, parameter in target.items():
        parameter.copy_(source[name])
