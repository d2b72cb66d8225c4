"""Learning-rate curves have their closed forms."""

import math

import pytest
import torch
from diffusers.optimization import get_cosine_with_hard_restarts_schedule_with_warmup

from spritelora.training.schedules import Constant, Cosine, CosineRestarts, Linear, Polynomial, Schedule

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("schedule", [Constant(10), Linear(10), Cosine(10), CosineRestarts(10), Polynomial(10)])
def test_warm_up_rises_by_equal_parts_to_the_full_rate(schedule: Schedule) -> None:
    assert [schedule(s, 100) for s in range(10)] == pytest.approx([(s + 1) / 10 for s in range(10)])
    assert schedule(10, 100) == 1.0


@pytest.mark.parametrize("step", [0, 25, 50, 99])
def test_curves_without_warm_up(step: int) -> None:
    assert Constant()(step, 100) == 1.0
    assert Linear()(step, 100) == pytest.approx(1 - step / 100)
    assert Cosine()(step, 100) == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2)
    assert Cosine(final_share=0.1)(step, 100) == pytest.approx(0.1 + 0.9 * Cosine()(step, 100))
    assert Polynomial(power=3)(step, 100) == pytest.approx((1 - step / 100) ** 3)
    assert Polynomial(power=0.5, final_share=0.2)(step, 100) == pytest.approx(0.2 + 0.8 * (1 - step / 100) ** 0.5)
    assert Polynomial(power=1)(step, 100) == pytest.approx(Linear()(step, 100))


@pytest.mark.parametrize(("warmup", "cycles", "max_steps"), [(0, 3, 100), (10, 4, 100), (7, 3, 1000), (0, 1, 50)])
def test_restarts_are_those_of_diffusers(warmup: int, cycles: int, max_steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, warmup, max_steps, cycles).lr_lambdas[0]
    ours = CosineRestarts(warmup, cycles)
    assert [ours(s, max_steps) for s in range(warmup, max_steps)] == pytest.approx(
        [theirs(s) for s in range(warmup, max_steps)], abs=1e-9
    )


def test_every_restart_is_at_the_full_rate_and_every_fall_ends_at_its_share() -> None:
    schedule = CosineRestarts(warmup_steps=10, cycles=3, final_share=0.1)
    assert [schedule(s, 100) for s in (10, 40, 70)] == [1.0] * 3
    assert all(0.1 <= schedule(s, 100) < 0.11 for s in (39, 69, 99))
    assert schedule(100, 100) == pytest.approx(0.1)
