"""A LoRA and its base side by side: what was drawn, which strength is best, and the comparisons of every metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.colour_distance import ColourTarget, Profiles, compare_colours, profiles_of
from spritelora.evaluation.colours import VISIBLE, palette_coverage
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Measured, Reference, measure_image
from spritelora.evaluation.memorisation import MEMORISED_BELOW
from spritelora.evaluation.registry import COLOUR_DISTANCE
from spritelora.evaluation.statistics import Comparison, Outcome, Values, compare_all
from spritelora.evaluation.unmeasured import why_missing
from spritelora.sprites.pixels.image import Pixels

BEST_RULE = "higher strengths bring no measurable gain in colour"
SNAPS_BELOW = VISIBLE
"""Snap residual below which an image is one colour a cell to the eye: CSS Color 4's just-visible OKLab difference."""


@dataclass(frozen=True)
class DrawnSet:
    """Images of one strength, one for each prompt and start noise, with their numbers."""

    images: Sequence[Pixels]
    measured: Sequence[Measured]
    values: Mapping[str, Values]
    coverage: float
    profiles: Profiles

    @property
    def copies(self) -> Values:
        """1 for each image that is a copy of a training sprite, 0 for others, NaN where that cannot be told."""
        distance = self.values["copy_distance"]
        return np.where(np.isfinite(distance), distance < MEMORISED_BELOW, np.nan)


@dataclass(frozen=True)
class Validation:
    """All that was drawn. `prompts`, `is_seen`: of each image, the latter where the prompt is a training caption.

    `base`: None where it was left out. `max_colours`: of a usable sprite. `target`: the training sprites' colours.
    `comparisons`: those with the base that were made, for record, answers, page and log ask for the same ones.
    """

    prompts: Sequence[str]
    is_seen: NDArray[np.bool_]
    base: DrawnSet | None
    by_strength: Mapping[float, DrawnSet]
    max_colours: int
    target: ColourTarget
    comparisons: dict[tuple[float, bool | None], dict[str, Comparison]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )


def measure_set(
    images: Sequence[Pixels], reference: Reference, grid: Grid | None, clip_scores: Values | None = None
) -> DrawnSet:
    """Measure images (H, W, 3), at least one. `clip_scores`: (N,), where a CLIP model was given."""
    measured = [measure_image(image, reference, grid) for image in images]
    values = {name: np.array([m.values[name] for m in measured]) for name in measured[0].values}
    if clip_scores is not None:
        values["clip"] = clip_scores
    stack = np.concatenate([m.native.reshape(-1, 3) for m in measured])
    coverage = palette_coverage(stack, reference.palette)
    return DrawnSet(images, measured, values, coverage, profiles_of([m.native for m in measured]))


def changes_nothing(validation: Validation) -> bool:
    """Whether every image is the base's to the bit, at every strength."""
    base = validation.base
    return base is not None and all(
        np.array_equal(ours, theirs)
        for drawn in validation.by_strength.values()
        for ours, theirs in zip(drawn.images, base.images, strict=True)
    )


def best_strength(validation: Validation) -> float | None:
    """The strength that `BEST_RULE` says; None where the LoRA changes nothing."""
    if changes_nothing(validation):
        return None
    target, profiles = validation.target, {s: drawn.profiles for s, drawn in sorted(validation.by_strength.items())}
    least = min(profiles, key=lambda s: target.distance_of(profiles[s]))
    as_good = (
        s
        for s, of_strength in profiles.items()
        if compare_colours(profiles[least], of_strength, target).outcome is Outcome.NO_DIFFERENCE
    )
    return next(as_good, least)


def shown_strength(validation: Validation) -> float:
    """The best strength, or the one nearest 1 where none is best."""
    return best_strength(validation) or min(validation.by_strength, key=lambda s: abs(s - 1))


def against_base(validation: Validation, strength: float, seen: bool | None = None) -> dict[str, Comparison]:
    """Every metric of a strength against the base's. `seen`: only prompts that were seen in training, or only new ones.

    Empty where the base was not drawn.
    """
    if validation.base is None:
        return {}
    made = validation.comparisons
    if (strength, seen) not in made:
        made[strength, seen] = _compare(validation, validation.base, validation.by_strength[strength], seen)
    return made[strength, seen]


def _compare(validation: Validation, base: DrawnSet, ours: DrawnSet, seen: bool | None) -> dict[str, Comparison]:
    chosen = np.ones(len(validation.prompts), np.bool_) if seen is None else validation.is_seen == seen
    first, second = ({name: values[chosen] for name, values in part.values.items()} for part in (base, ours))
    colours = compare_colours(base.profiles[chosen], ours.profiles[chosen], validation.target)
    return {COLOUR_DISTANCE.name: colours, **compare_all(first, second)}


def usable(drawn: DrawnSet, max_colours: int) -> Values:
    """Which images are sprites as they are, one colour a cell to the eye and at most `max_colours` of them: 1 or 0.

    NaN where no grid of native pixels was found, which snapping could be measured by.
    """
    residual, is_few = drawn.values["snap_residual"], drawn.values["num_colours"] <= max_colours
    return np.where(np.isfinite(residual), (residual < SNAPS_BELOW) & is_few, np.nan)


def share_of(flags: Values) -> float:
    """The share of ones among what could be told, NaN where nothing could."""
    known = flags[np.isfinite(flags)]
    return float(known.mean()) if len(known) else math.nan


def missing(validation: Validation, strength: float) -> dict[str, str]:
    """By name, the metrics that no image of a strength has, or no pair of its and the base's, and why."""
    ours = validation.by_strength[strength].values
    return why_missing(validation.base.values if validation.base is not None else ours, ours)
