"""Whether one set of images beats another: paired differences with bootstrap intervals, and what they say in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import SpriteLoraError
from spritelora.evaluation.registry import METRICS, Direction, Metric

Values = NDArray[np.float64]

LEAST_PAIRS = 6
"""With 5, chance alone gives all differences one sign more often than 1 time in 20: 2 ** (1 - 5) is 6 %."""

NUM_RESAMPLES = 5000
LEVEL = 0.95

NORMAL = NormalDist()


class Outcome(StrEnum):
    """The verdict of an interval on the second set against the first."""

    BETTER = "better"
    WORSE = "worse"
    HIGHER = "higher"
    LOWER = "lower"
    NO_DIFFERENCE = "no difference shown"
    TOO_FEW = "too few pairs to say"


@dataclass(frozen=True)
class Comparison:
    """A metric on two sets of images, paired by prompt and seed.

    `first`, `second`: means over the pairs that both could be measured on, `num_pairs` of them. `difference`: second
    less first, its mean; `low`, `high`: the ends of its interval.
    """

    metric: Metric
    first: float
    second: float
    difference: float
    low: float
    high: float
    num_pairs: int
    outcome: Outcome

    @property
    def verdict(self) -> str:
        """One sentence in plain words."""
        if self.outcome is Outcome.TOO_FEW:
            return f"{self.metric.title}: {self.outcome} ({self.num_pairs} of at least {LEAST_PAIRS})"
        low, high = (f"{end:+.{self.metric.digits}f}" for end in (self.low, self.high))
        change = f"{self.metric.format(self.first)} to {self.metric.format(self.second)}"
        interval = f"difference {low} to {high} at {LEVEL:.0%}, {self.num_pairs} pairs"
        return f"{self.metric.title}: {self.outcome}, {change} ({interval})"


def compare_paired(metric: Metric, first: Values, second: Values, seed: int = 0) -> Comparison:
    """Compare a metric on pairs of images, (N,) each; pairs with a NaN are left out and not counted.

    A difference is shown where the interval leaves out 0 and the mean difference is not lost in the metric's digits.
    The interval is the bias-corrected and accelerated bootstrap's (BCa) for the mean difference, expanded for few
    pairs, from `NUM_RESAMPLES` resamples of pairs; the same seed gives the same ends. Source: Efron 1987, Better
    Bootstrap Confidence Intervals, JASA 82. Raises SpriteLoraError for sets of different sizes.
    """
    if len(first) != len(second):
        raise SpriteLoraError(
            f"{metric.name}: {len(first)} images against {len(second)}; a paired comparison takes as many of both, "
            f"made from the same prompts and seeds"
        )
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if not len(first):
        nan = math.nan
        return Comparison(metric, nan, nan, nan, nan, nan, 0, Outcome.TOO_FEW)
    differences = second - first
    low, high = bootstrap_interval(differences, seed) if len(differences) >= LEAST_PAIRS else (math.nan, math.nan)
    difference = float(differences.mean())
    return Comparison(
        metric=metric,
        first=float(first.mean()),
        second=float(second.mean()),
        difference=difference,
        low=low,
        high=high,
        num_pairs=len(differences),
        outcome=outcome_of(metric, difference, low, high),
    )


def compare_all(first: Mapping[str, Values], second: Mapping[str, Values], seed: int = 0) -> dict[str, Comparison]:
    """Compare every metric that both sets have, in the registry's order."""
    shared = [name for name in METRICS if name in first and name in second]
    return {name: compare_paired(METRICS[name], first[name], second[name], seed) for name in shared}


def bootstrap_interval(differences: Values, seed: int) -> tuple[float, float]:
    """The BCa interval, at `LEVEL`, of the mean of differences (N,), N at least 2; (d, d) where all equal d."""
    rng, count = np.random.default_rng(seed), len(differences)
    means = differences[rng.integers(0, count, (NUM_RESAMPLES, count))].mean(axis=1)
    mean = float(differences.mean())
    return bca_interval(means, mean, mean + (mean - differences) / (count - 1))


def bca_interval(resampled: Values, value: float, left_out: Values) -> tuple[float, float]:
    """The BCa interval, at `LEVEL`, of a statistic of N pairs that is `value`; (value, value) where all are the same.

    `resampled`: the statistic of each resample, (R,). `left_out`: of the pairs but one, each left out in turn, (N,).
    """
    if np.ptp(left_out) == 0 and np.ptp(resampled) == 0:
        return value, value
    below = (np.count_nonzero(resampled < value) + np.count_nonzero(resampled == value) / 2) / len(resampled)
    bias = NORMAL.inv_cdf(min(max(below, 1 / len(resampled)), 1 - 1 / len(resampled)))
    influence = left_out.mean() - left_out
    spread = (influence**2).sum()
    acceleration = (influence**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    reach = expanded_reach(len(left_out))
    low, high = np.quantile(resampled, [_bca_level(z, bias, acceleration) for z in (-reach, reach)])
    return float(low), float(high)


def expanded_reach(num_pairs: int) -> float:
    """Deviations of the resampled means that the interval takes on either side, to hold `LEVEL` on few pairs too.

    sqrt(N / (N - 1)) times the t quantile at N - 1 degrees of freedom, by its expansion (Abramowitz and Stegun
    26.7.5), right to 1 % from 6 pairs on. Source: Hesterberg 2015, What Teachers Should Know About the Bootstrap,
    arXiv:1411.5279.
    """
    z, free = NORMAL.inv_cdf((1 + LEVEL) / 2), num_pairs - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return t * math.sqrt(num_pairs / free)


def _bca_level(z: float, bias: float, acceleration: float) -> float:
    """Which quantile of the resampled means stands for z deviations."""
    return NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))


def outcome_of(metric: Metric, difference: float, low: float, high: float) -> Outcome:
    """The verdict of a difference with its interval."""
    if math.isnan(low):
        return Outcome.TOO_FEW
    if low <= 0 <= high or abs(difference) < 0.5 * 10**-metric.digits:
        return Outcome.NO_DIFFERENCE
    risen = low > 0
    if metric.direction is Direction.NEITHER:
        return Outcome.HIGHER if risen else Outcome.LOWER
    return Outcome.BETTER if risen == (metric.direction is Direction.HIGHER) else Outcome.WORSE
