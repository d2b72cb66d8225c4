"""The running average of the adapter: its decay, its values, and that it gives way to the bit."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from spritelora.errors import ResumeError
from spritelora.training.callbacks.ema import Average, decay_at
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import settled_weights
from tests.bounds import assert_within, rounding
from tests.training.tiny_loop import AfterSteps, Settings, tiny_module, train

pytestmark = pytest.mark.numeric


class Record(AfterSteps):
    """The weights that the optimizer has settled on before the first step and after each."""

    def __init__(self) -> None:
        self.weights: list[list[torch.Tensor]] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.after_step(pl_module, 0)

    def after_step(self, module: LoraModule, step: int) -> None:
        with settled_weights(module.optimizer):
            self.weights.append([p.detach().double().clone() for p in module.parameters() if p.requires_grad])


def test_the_decay_warms_up_to_what_is_asked_for() -> None:
    assert [decay_at(step, 0.999) for step in (1, 2, 91)] == [1 / 10, 2 / 11, 91 / 100]
    assert decay_at(8990, 0.999) < 0.999
    assert decay_at(8992, 0.999) == 0.999
    assert decay_at(1, 0.05) == 0.05


@pytest.mark.parametrize("optim", ["adamw", "schedulefree"])
def test_the_average_is_the_sum_of_all_settled_weights_by_their_shares(tmp_path: Path, optim: str) -> None:
    """Written out: the weights of step k count (1 - d_k) times all decays after k, those of the start all decays."""
    record = Record()
    module = train(tmp_path, Settings(5, optim=optim, ema=0.25), record)
    assert module.average is not None
    decays = [1 / 10, 2 / 11, 0.25, 0.25, 0.25]
    shares = [math.prod(decays), *((1 - d) * math.prod(decays[k + 1 :]) for k, d in enumerate(decays))]
    assert sum(shares) == pytest.approx(1, rel=rounding(12, torch.float64))
    expected = [
        sum(s * w for s, w in zip(shares, by_step, strict=True)) for by_step in zip(*record.weights, strict=True)
    ]
    trained = [p.detach().clone() for p in module.parameters() if p.requires_grad]
    with module.result_weights():
        averaged = [p.detach().clone() for p in module.parameters() if p.requires_grad]
    for found, wanted in zip(averaged, expected, strict=True):
        # Each of five steps is a difference, a product and a sum in fp32, of numbers up to the largest.
        assert_within(found, wanted, rounding(3 * 5) * 2 * float(abs(wanted).max()))  # pyright: ignore
    assert not all(torch.equal(a, t) for a, t in zip(averaged, trained, strict=True))
    assert all(
        torch.equal(p, t) for p, t in zip((p for p in module.parameters() if p.requires_grad), trained, strict=True)
    )


def test_an_average_of_another_adapter_is_refused() -> None:
    average = Average(0.9)
    average.load_state_dict({"weights": {"unet.elsewhere.weight": torch.zeros(2)}})
    with pytest.raises(ResumeError, match=r"the checkpoint's average is of another adapter: .* and more differ"):
        average.begin(tiny_module(Settings(1)))
