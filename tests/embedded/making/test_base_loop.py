"""The loop that trains the base goes on from its state file as if it had never stopped."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spritelora.embedded.making.base_loop import StepPlan, Trained, rate_share, train
from spritelora.errors import TrainingError

pytestmark = pytest.mark.numeric

PLAN = StepPlan(num_steps=12, learning_rate=0.05, warmup_steps=3, decay_share=0.5, weight_decay=0.01, save_every=4)


def run(plan: StepPlan, state_path: Path, stop_before: int | None = None) -> Tensor:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)

    def loss_at(step: int) -> Tensor:
        if step == stop_before:
            raise InterruptedError
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(8, 3, generator=generator)
        return (module(inputs).squeeze(1) - inputs.sum(1)).square().mean()

    train(module, loss_at, plan, state_path)
    return module.weight.detach()


def test_a_stopped_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    unbroken = run(PLAN, tmp_path / "unbroken.safetensors")
    with suppress(InterruptedError):
        run(PLAN, tmp_path / "broken.safetensors", stop_before=7)
    assert torch.equal(run(PLAN, tmp_path / "broken.safetensors"), unbroken)


def test_a_diverging_run_stops_and_keeps_an_earlier_state(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    plan = replace(PLAN, num_steps=100, save_every=1, log_every=2)
    with pytest.raises(TrainingError, match="step 8: the loss rose from 1 to 50"):
        train(
            module,
            lambda step: 0 * module.weight.sum() + (1.0 if step < 6 else 50.0),
            plan,
            tmp_path / "state.safetensors",
        )
    resumed = Trained(module, plan)
    resumed.load(tmp_path / "state.safetensors")
    assert resumed.num_steps_taken == 7


def test_the_rate_rises_holds_and_falls_to_its_last_share() -> None:
    plan = replace(PLAN, num_steps=1000, warmup_steps=100, decay_share=0.4)
    shares = [rate_share(step, plan) for step in range(1000)]
    assert shares[:100] == sorted(shares[:100])
    assert set(shares[100:600]) == {1.0}
    assert shares[600:] == sorted(shares[600:], reverse=True)
    assert abs(shares[-1] - plan.final_rate_share) < 1e-3
