"""Metrics that images have no number for, and why: they are left out, and are no failure."""

from collections.abc import Iterable, Mapping

import numpy as np

from spritelora.evaluation.measure import OF_CELLS
from spritelora.evaluation.registry import METRICS
from spritelora.evaluation.statistics import Comparison, Values

NO_GRID = "no grid of native pixels was found"
NO_BACKGROUND = "there is no plain background with a sprite on it"
TOO_LARGE = "snapped, they have more native pixels than the training sprites"
NO_EDGES = "there is no edge to be seen"


def why_missing(first: Mapping[str, Values], second: Mapping[str, Values]) -> dict[str, str]:
    """By name, of each metric that no pair of images has on both sides, why that is so.

    `first`, `second`: the values of the base's and of the LoRA's images, (N,) each; for one side alone give it twice.
    """
    return {
        name: _reason(name, first, second)
        for name in METRICS
        if name in first and name in second and not (np.isfinite(first[name]) & np.isfinite(second[name])).any()
    }


def left_out(reasons: Mapping[str, str]) -> str:
    """A sentence that names the metrics by their reasons; empty where there are none."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(METRICS[name].title)
    told = "; ".join(f"{', '.join(titles)} ({reason})" for reason, titles in by_reason.items())
    return f"Left out: {told}." if told else ""


def with_pairs(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Those that rest on any pair of images."""
    return [comparison for comparison in comparisons if comparison.num_pairs]


def _reason(name: str, first: Mapping[str, Values], second: Mapping[str, Values]) -> str:
    missing = [side for side in (first, second) if not np.isfinite(side[name]).any()]
    if not missing:
        return "no pair has it on both sides"
    whose = "" if len(missing) == 2 else "in the base's images " if missing[0] is first else "in the LoRA's images "
    has_grid = np.isfinite(missing[0]["snap_residual"]).any() if "snap_residual" in missing[0] else False
    if name in OF_CELLS and not has_grid:
        return f"{whose}{NO_GRID}"
    return whose + {"halo": NO_BACKGROUND, "copy_distance": TOO_LARGE}.get(name, NO_EDGES)
