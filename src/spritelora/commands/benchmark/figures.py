"""Figures that every measurement gives: the machine, and the spread of repeated values."""

import platform
import statistics
from collections.abc import Sequence
from typing import Any

from spritelora.process import package_versions

Figures = dict[str, Any]
"""Measurements by name: numbers, texts, or figures of a part."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most of repeated measurements, to four digits."""
    told = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: float(f"{value:.4g}") for name, value in told.items()}


def machine_figures() -> Figures:
    """Architecture, Python and the versions of the libraries."""
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": package_versions(),
    }
