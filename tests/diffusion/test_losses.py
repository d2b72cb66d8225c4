"""Errors have their closed forms, and their thresholds kohya's schedules."""

import math

import pytest
import torch

from spritelora.diffusion.losses import Huber, Loss, MeanSquared, SmoothL1, threshold
from spritelora.diffusion.schedule import cumulative_alphas
from tests.bounds import rounding

pytestmark = pytest.mark.numeric

TIMESTEPS = torch.tensor([0, 250, 500, 999])


def errors(loss: Loss, difference: float) -> list[float]:
    alphas = cumulative_alphas()[TIMESTEPS]
    return loss(torch.full((4, 1, 1, 1), difference, dtype=torch.float64), TIMESTEPS, alphas, 1000).flatten().tolist()


def thresholds(schedule: str, c: float) -> list[float]:
    if schedule == "constant":
        return [c] * 4
    if schedule == "exponential":
        return [math.exp(math.log(c) * t / 1000) for t in TIMESTEPS.tolist()]
    alphas = cumulative_alphas()[TIMESTEPS].tolist()
    return [(1 - c) / (1 + math.sqrt((1 - a) / a)) ** 2 + c for a in alphas]


@pytest.mark.parametrize("schedule", ["constant", "exponential", "snr"])
@pytest.mark.parametrize("difference", [0.0, 1e-3, -0.1, 0.5, 40.0])
def test_robust_losses_have_their_closed_forms(schedule: str, difference: float) -> None:
    for c in (0.1, 0.5):
        # The formula as written here loses what two numbers near |d| + c round to; so do the thresholds' operations.
        bound = rounding(30, torch.float64) * (abs(difference) + 1)
        expected = [2 * (math.sqrt(difference**2 + x**2) - x) for x in thresholds(schedule, c)]
        assert errors(SmoothL1(c, schedule), difference) == pytest.approx(expected, rel=0, abs=bound)
        scaled = [x * e for x, e in zip(thresholds(schedule, c), expected, strict=True)]
        assert errors(Huber(c, schedule), difference) == pytest.approx(scaled, rel=0, abs=bound)


@pytest.mark.parametrize(
    ("schedule", "golden"),
    [
        ("exponential", [1.0, 0.562341, 0.316228, 0.100231]),  # 10^(-t/1000)
        ("snr", [0.949710, 0.412963, 0.231284, 0.103691]),  # 0.9 / (1 + sigma)^2 + 0.1
        ("constant", [0.1] * 4),
    ],
)
def test_thresholds_have_their_golden_values(schedule: str, golden: list[float]) -> None:
    values = threshold(schedule, 0.1, TIMESTEPS, cumulative_alphas()[TIMESTEPS], 1000)
    assert values.flatten().tolist() == pytest.approx(golden, abs=6e-7)  # half of the last digit written, in float64


def test_near_zero_huber_is_the_square_and_far_away_it_is_straight() -> None:
    """By the next terms of the series: d^2 (1 - (d / 2c)^2) and 2c |d| (1 - c / |d|)."""
    near, far = 1e-4 / 0.1, 0.1 / 1e4
    assert errors(Huber(0.1, "constant"), 1e-4) == pytest.approx(errors(MeanSquared(), 1e-4), rel=near**2)
    assert errors(Huber(0.1, "constant"), 1e4) == pytest.approx([2 * 0.1 * 1e4] * 4, rel=1.01 * far)


def test_small_differences_keep_their_digits_in_fp32() -> None:
    difference = torch.full((1, 1, 1, 1), 1e-4)
    (alphas, timestep) = cumulative_alphas()[:1].float(), torch.zeros(1, dtype=torch.long)
    smooth = SmoothL1(1.0, "constant")(difference, timestep, alphas, 1000)
    assert float(smooth) == pytest.approx(1e-8, rel=rounding(10) + 1e-8, abs=0)  # the series' next term is d^2 / 4


def test_squared_error_knows_no_timestep() -> None:
    assert errors(MeanSquared(), -3.0) == [9.0] * 4
