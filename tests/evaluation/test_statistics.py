"""Intervals of paired differences: right about as often as they claim, and silent where there is nothing to say."""

import math

import numpy as np
import pytest

from spritelora.errors import SpriteLoraError
from spritelora.evaluation.registry import METRICS, Direction
from spritelora.evaluation.statistics import (
    LEAST_PAIRS,
    Outcome,
    bootstrap_interval,
    compare_all,
    compare_paired,
    expanded_reach,
)

pytestmark = pytest.mark.numeric

LOWER, HIGHER, NEITHER = METRICS["halo"], METRICS["palette_coverage"], METRICS["pitch_px"]


def test_the_directions_of_the_metrics_used_here() -> None:
    assert [m.direction for m in (LOWER, HIGHER, NEITHER)] == [Direction.LOWER, Direction.HIGHER, Direction.NEITHER]


@pytest.mark.parametrize("metric", [LOWER, HIGHER, NEITHER])
def test_identical_images_show_no_difference(metric) -> None:
    values = np.random.default_rng(0).random(16)
    found = compare_paired(metric, values, values)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.outcome is Outcome.NO_DIFFERENCE
    assert "no difference" in found.verdict


@pytest.mark.parametrize(
    ("metric", "step", "outcome"),
    [
        (LOWER, -0.1, Outcome.BETTER),
        (LOWER, 0.1, Outcome.WORSE),
        (HIGHER, 0.1, Outcome.BETTER),
        (HIGHER, -0.1, Outcome.WORSE),
        (NEITHER, 0.1, Outcome.HIGHER),
        (NEITHER, -0.1, Outcome.LOWER),
    ],
)
def test_the_verdict_knows_which_way_is_better(metric, step: float, outcome: Outcome) -> None:
    rng = np.random.default_rng(0)
    first = rng.random(16)
    found = compare_paired(metric, first, first + step + rng.normal(0, 0.02, 16))
    assert found.outcome is outcome
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(step, abs=0.02)


def test_pairs_are_compared_not_sets() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(0, 10, 20)
    second = first + 0.1 + rng.normal(0, 0.01, 20)
    assert compare_paired(LOWER, first, second).outcome is Outcome.WORSE
    assert compare_paired(LOWER, first, rng.permutation(second)).outcome is Outcome.NO_DIFFERENCE


def test_intervals_hold_the_truth_about_as_often_as_they_claim() -> None:
    rng = np.random.default_rng(0)
    for draw in (lambda: rng.normal(1, 1, 8), lambda: rng.normal(1, 1, 20), lambda: rng.exponential(1, 20)):
        intervals = [bootstrap_interval(draw(), seed) for seed in range(300)]
        held = np.mean([low <= 1 <= high for low, high in intervals])
        assert 0.91 <= held <= 0.99


def test_the_ends_agree_with_an_independent_implementation() -> None:
    differences = np.random.default_rng(3).exponential(1, 15) - 0.6
    # scipy 1.16.3: bootstrap((differences,), np.mean, method="BCa", n_resamples=200_000, rng=0, confidence_level=
    # 2 * norm.cdf(t.ppf(0.975, 14) * (15 / 14) ** 0.5) - 1)
    assert bootstrap_interval(differences, 0) == pytest.approx((-0.160, 0.956), abs=0.04)


@pytest.mark.parametrize(("num_pairs", "t"), [(6, 2.571), (10, 2.262), (15, 2.145), (31, 2.042), (10**6, 1.960)])
def test_few_pairs_reach_as_far_as_students_t(num_pairs: int, t: float) -> None:
    assert expanded_reach(num_pairs) / math.sqrt(num_pairs / (num_pairs - 1)) == pytest.approx(t, rel=0.01)


def test_the_same_seed_gives_the_same_ends() -> None:
    differences = np.random.default_rng(0).normal(0, 1, 12)
    assert bootstrap_interval(differences, 4) == bootstrap_interval(differences, 4)
    assert bootstrap_interval(differences, 4) != bootstrap_interval(differences, 5)


def test_pairs_that_cannot_be_measured_are_left_out_and_not_counted() -> None:
    first, second = np.arange(10.0), np.arange(10.0) + 1
    first[2], second[5] = math.nan, math.nan
    found = compare_paired(LOWER, first, second)
    assert (found.num_pairs, found.first, found.difference) == (8, pytest.approx(38 / 8), 1)


def test_too_few_pairs_give_no_verdict() -> None:
    few = np.arange(float(LEAST_PAIRS - 1))
    found = compare_paired(LOWER, few, few + 1)
    assert (found.outcome, found.difference) == (Outcome.TOO_FEW, 1)
    assert found.verdict == "halo: too few pairs to say (5 of at least 6)"
    assert compare_paired(LOWER, np.full(9, math.nan), np.ones(9)).num_pairs == 0


def test_differences_below_the_digits_shown_are_none() -> None:
    first = np.linspace(0, 1, 12)
    assert compare_paired(LOWER, first, first + 1e-7).outcome is Outcome.NO_DIFFERENCE


def test_sets_of_different_sizes_are_refused() -> None:
    with pytest.raises(SpriteLoraError, match=r"halo: 3 images against 4; .* from the same prompts and seeds"):
        compare_paired(LOWER, np.ones(3), np.ones(4))


def test_all_shared_metrics_are_compared_in_the_registrys_order() -> None:
    values = {"seam": np.ones(6), "halo": np.ones(6), "clip": np.ones(6)}
    assert list(compare_all(values, {"seam": np.ones(6), "halo": np.ones(6)})) == ["halo", "seam"]


def test_the_verdict_is_a_sentence_with_numbers() -> None:
    rng = np.random.default_rng(0)
    first = 0.4 + rng.normal(0, 0.01, 16)
    found = compare_paired(LOWER, first, first - 0.3 - np.linspace(0, 0.01, 16))
    assert found.verdict.startswith("halo: better, 0.3973 OKLab to 0.0923 OKLab (difference -0.30")
    assert found.verdict.endswith(" at 95%, 16 pairs)")
