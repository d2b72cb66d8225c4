"""A validation as plain values: what export, comparison and other programs read."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spritelora.errors import WeightsError
from spritelora.evaluation.registry import COLOUR_DISTANCE, METRICS
from spritelora.evaluation.statistics import LEAST_PAIRS, Comparison, Values, bootstrap_interval
from spritelora.evaluation.validation import (
    BEST_RULE,
    DrawnSet,
    Validation,
    against_base,
    best_strength,
    missing,
    share_of,
    shown_strength,
    usable,
)
from spritelora.files import JsonObject, read_json, without_nan
from spritelora.runs.layout import VALIDATION


def make_record(
    validation: Validation, settings: Mapping[str, Any], answers: Sequence[Mapping[str, str]]
) -> JsonObject:
    """Everything that was found, without NaN, for those are no JSON. `settings`: how the images were drawn."""
    shown = shown_strength(validation)
    return without_nan(
        {
            "best_strength": best_strength(validation),
            "rule": BEST_RULE,
            "shown_strength": shown,
            "answers": [*answers],
            "verdicts": {name: c.verdict for name, c in against_base(validation, shown).items() if c.num_pairs},
            "left_out": missing(validation, shown),
            "colour_distance": _colour_distance(validation),
            "metrics": {name: _metric(validation, name) for name in METRICS if name in _any(validation).values},
            "groups": {
                name: {m: comparison_record(c) for m, c in against_base(validation, shown, seen).items()}
                for name, seen in (("training_captions", True), ("new_prompts", False))
            },
            "shares": {
                "base": _shares(validation.base, validation) if validation.base else None,
                **{f"{s:g}": _shares(drawn, validation) for s, drawn in validation.by_strength.items()},
            },
            "prompts": [
                {"prompt": p, "seen": bool(seen)}
                for p, seen in zip(validation.prompts, validation.is_seen, strict=True)
            ],
            "max_colours": validation.max_colours,
            "settings": dict(settings),
        }
    )


def mean_with_interval(values: Values) -> tuple[float, float, float]:
    """The mean of what could be measured, and the ends of its interval; NaN where there is too little."""
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan, math.nan
    low, high = bootstrap_interval(known, 0) if len(known) >= LEAST_PAIRS else (math.nan, math.nan)
    return float(known.mean()), low, high


def comparison_record(comparison: Comparison) -> JsonObject:
    """A comparison as plain values."""
    return {
        "base": comparison.first,
        "lora": comparison.second,
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "num_pairs": comparison.num_pairs,
        "outcome": comparison.outcome.value,
    }


def _any(validation: Validation) -> DrawnSet:
    return next(iter(validation.by_strength.values()))


def _metric(validation: Validation, name: str) -> JsonObject:
    metric = METRICS[name]
    by_strength: dict[str, JsonObject] = {}
    for strength, drawn in validation.by_strength.items():
        mean, low, high = mean_with_interval(drawn.values[name])
        found = against_base(validation, strength).get(name)
        by_strength[f"{strength:g}"] = {
            "mean": mean,
            "low": low,
            "high": high,
            "against_base": comparison_record(found) if found else None,
            "values": drawn.values[name].tolist(),
        }
    base = mean_with_interval(validation.base.values[name])[0] if validation.base else None
    return {
        "title": metric.title,
        "unit": metric.unit,
        "direction": metric.direction.value,
        "base": base,
        "by_strength": by_strength,
    }


def _colour_distance(validation: Validation) -> JsonObject:
    """Of the whole set of images at each strength, with what as many training sprites have."""
    target, base = validation.target, validation.base
    by_strength: dict[str, JsonObject] = {}
    for strength, drawn in validation.by_strength.items():
        found = against_base(validation, strength).get(COLOUR_DISTANCE.name)
        against = comparison_record(found) if found else None
        by_strength[f"{strength:g}"] = {"value": target.distance_of(drawn.profiles), "against_base": against}
    return {
        "base": target.distance_of(base.profiles) if base else None,
        "training_sprites": target.floor(len(validation.prompts)),
        "by_strength": by_strength,
    }


def _shares(drawn: DrawnSet, validation: Validation) -> dict[str, float]:
    copies, new = drawn.copies, ~validation.is_seen
    return {
        "usable": share_of(usable(drawn, validation.max_colours)),
        "colour_distance": validation.target.distance_of(drawn.profiles),
        "palette_coverage": drawn.coverage,
        "copies_of_training_captions": share_of(copies[~new]),
        "copies_of_new_prompts": share_of(copies[new]),
    }


def best_strength_of(run_dir: Path) -> float | None:
    """The strength that the newest validation of a run found best. Raises WeightsError where its record is damaged."""
    files = [f for f in (run_dir / VALIDATION, *run_dir.glob(f"*/{VALIDATION}")) if f.is_file()]
    if not files:
        return None
    newest = max(files, key=lambda file: file.stat().st_mtime)
    try:
        value = read_json(newest).get("best_strength")
        return None if value is None else float(value)
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise WeightsError(
            f"{newest}: not a record of a validation ({error}); validate again, or set strength="
        ) from error
