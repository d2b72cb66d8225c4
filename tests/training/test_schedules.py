"""Learning-rate curves have their closed forms."""

import math

import pytest

from spritelora.training.schedules import Constant, Cosine, Linear


@pytest.mark.parametrize("schedule", [Constant(10), Linear(10), Cosine(10)])
def test_warm_up_rises_by_equal_parts_to_the_full_rate(schedule: Constant | Linear | Cosine) -> None:
    assert [schedule(s, 100) for s in range(10)] == pytest.approx([(s + 1) / 10 for s in range(10)])
    assert schedule(10, 100) == 1.0


@pytest.mark.parametrize("step", [0, 25, 50, 99])
def test_curves_without_warm_up(step: int) -> None:
    assert Constant()(step, 100) == 1.0
    assert Linear()(step, 100) == pytest.approx(1 - step / 100)
    assert Cosine()(step, 100) == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2)
    assert Cosine(final_share=0.1)(step, 100) == pytest.approx(0.1 + 0.9 * Cosine()(step, 100))
