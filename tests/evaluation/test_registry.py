"""The registry is complete and its numbers read well."""

import math

from spritelora.evaluation.registry import METRICS, Direction


def test_the_best_value_is_at_the_end_of_the_range_that_is_better() -> None:
    for name, metric in METRICS.items():
        assert name == metric.name
        expected = {Direction.LOWER: metric.low, Direction.HIGHER: metric.high, Direction.NEITHER: None}
        assert metric.best == expected[metric.direction]


def test_values_are_written_with_their_unit_and_nan_as_a_dash() -> None:
    assert METRICS["pitch_px"].format(7.5) == "7.50 px"
    assert METRICS["off_grid"].format(0.25) == "0.250"
    assert METRICS["halo"].format(math.nan) == "-"
