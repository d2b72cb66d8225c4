"""A LoRA held against its base: which strength is best, and the four questions of a validation with their numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.colour_distance import ColourTarget, Profiles, compare_colours, profiles_of
from spritelora.evaluation.colours import VISIBLE, palette_coverage
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Measured, Reference, measure_image
from spritelora.evaluation.memorisation import MEMORISED_BELOW
from spritelora.evaluation.registry import COLOUR_DISTANCE, Direction
from spritelora.evaluation.statistics import Comparison, Outcome, Values, compare_all
from spritelora.evaluation.unmeasured import NO_GRID, TOO_LARGE, left_out, why_missing, with_pairs
from spritelora.sprites.pixels.image import Pixels

BEST_RULE = "the lowest strength with the best colour distance: higher ones bring no measurable gain in colour"
SNAPS_BELOW = VISIBLE
"""Snap residual below which an image is one colour a cell to the eye: CSS Color 4's just-visible OKLab difference."""

FAR = 0.05
"""Colour distance above which colours are plainly not the training set's: two and a half just-visible differences."""

MOSTLY, MANY_COPIES = 0.9, 0.25


class Tone(StrEnum):
    """The quality of an answer; pages colour by it."""

    GOOD = "good"
    MIXED = "mixed"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """A question, the answer in a word or two, and the numbers it rests on."""

    question: str
    answer: str
    tone: Tone
    numbers: str


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


def answer_questions(validation: Validation) -> list[Answer]:
    """The four questions, answered at the best strength."""
    strength = shown_strength(validation)
    drawn = validation.by_strength[strength]
    comparisons = against_base(validation, strength)
    return [
        _style(drawn, validation, comparisons.get(COLOUR_DISTANCE.name)),
        _usable(drawn, validation),
        _better(comparisons, left_out(missing(validation, strength))),
        _overfit(drawn, validation, strength),
    ]


def _style(drawn: DrawnSet, validation: Validation, comparison: Comparison | None) -> Answer:
    question, base = "Does it match the training style?", validation.base
    covered = f"its images together show {drawn.coverage:.0%} of the training set's colours"
    floor = validation.target.floor(len(drawn.images))
    chance = f"as many training sprites: {COLOUR_DISTANCE.format(floor)}"
    if comparison is None or base is None:
        distance = COLOUR_DISTANCE.format(validation.target.distance_of(drawn.profiles))
        return Answer(question, "not compared", Tone.UNKNOWN, f"Colour distance {distance}; {chance}; {covered}.")
    told = {
        Outcome.BETTER: ("closer than the base", Tone.GOOD),
        Outcome.WORSE: ("further away than the base", Tone.BAD),
        Outcome.NO_DIFFERENCE: ("no difference shown", Tone.MIXED),
    }
    answer, tone = told.get(comparison.outcome, (comparison.outcome.value, Tone.UNKNOWN))
    if comparison.outcome is Outcome.BETTER and comparison.second > max(FAR, 2 * floor):
        answer, tone = "closer than the base, still far", Tone.MIXED
    covered += f", the base's {base.coverage:.0%}"
    return Answer(question, answer, tone, f"{_sentence(comparison)}; {chance}; {covered}.")


def _usable(drawn: DrawnSet, validation: Validation) -> Answer:
    question, flags = "Are the sprites usable?", usable(drawn, validation.max_colours)
    few = np.where(drawn.values["num_colours"] <= validation.max_colours, 1.0, 0.0)
    colours = f"{_of(few)} have at most {validation.max_colours} colours"
    share = share_of(flags)
    if math.isnan(share):
        return Answer(question, "not measured", Tone.UNKNOWN, f"{NO_GRID.capitalize()} in any image; {colours}.")
    residual = drawn.values["snap_residual"]
    snapped = np.where(np.isfinite(residual), residual < SNAPS_BELOW, np.nan)
    tone = Tone.GOOD if share >= MOSTLY else Tone.MIXED if share >= 0.5 else Tone.BAD
    numbers = f"{_of(snapped)} snap within the grid (residual below {SNAPS_BELOW}), {colours}"
    if validation.base is not None:
        numbers += f"; of the base's images {_of(usable(validation.base, validation.max_colours))} are usable"
    if unknown := np.count_nonzero(np.isnan(flags)):
        numbers += f"; {unknown} more are left out, for {NO_GRID} in them"
    return Answer(question, _of(flags), tone, f"{numbers}.")


def _better(comparisons: Mapping[str, Comparison], absent: str) -> Answer:
    question = "Better than the base?"
    judged = [c for c in with_pairs(comparisons.values()) if c.metric.direction is not Direction.NEITHER]
    better, worse = ([c.metric.title for c in judged if c.outcome is o] for o in (Outcome.BETTER, Outcome.WORSE))
    if not judged:
        return Answer(question, "not compared", Tone.UNKNOWN, "The base was not drawn (compare_base=false).")
    if all(c.outcome is Outcome.TOO_FEW for c in judged):
        return Answer(question, "too few images to say", Tone.UNKNOWN, "Give more prompts, or images_per_prompt.")
    undecided = len(judged) - len(better) - len(worse)
    parts = (("Better", better), ("Worse", worse))
    listed = " ".join(f"{what} in {', '.join(names)}." for what, names in parts if names)
    numbers = f"{listed} No difference shown in {undecided} of {len(judged)} metrics. {absent}".strip()
    if not better and not worse:
        return Answer(question, "no difference shown", Tone.MIXED, numbers)
    tone = Tone.GOOD if not worse else Tone.MIXED if len(better) > len(worse) else Tone.BAD
    return Answer(question, f"better in {len(better)} metrics, worse in {len(worse)}", tone, numbers)


def _overfit(drawn: DrawnSet, validation: Validation, strength: float) -> Answer:
    question, new = "Overfit: does it only work on what it saw?", ~validation.is_seen
    if not new.any():
        return Answer(question, "no new prompts to say", Tone.UNKNOWN, "Give some in prompts_file.")
    copies = drawn.copies
    if not np.isfinite(copies[new]).any():
        return Answer(question, "not measured", Tone.UNKNOWN, f"Of images on new prompts: {TOO_LARGE}.")
    numbers = f"{_of(copies[new])} images on new prompts are copies of a training sprite"
    if validation.is_seen.any():
        numbers += f", {_of(copies[~new])} on training captions"
    if validation.base is not None:
        numbers += f"; of the base's {_of(validation.base.copies)}"
    if share_of(copies[new]) > MANY_COPIES:
        return Answer(question, "it copies on new prompts", Tone.BAD, f"{numbers}.")
    known, unknown = (against_base(validation, strength, seen=s).get(COLOUR_DISTANCE.name) for s in (True, False))
    if known is None or unknown is None:
        return Answer(question, "few copies", Tone.UNKNOWN, f"{numbers}. The base was not drawn to compare with.")
    numbers += f". {_sentence(known, 'on training captions')}. {_sentence(unknown, 'on new prompts')}."
    if Outcome.TOO_FEW in (known.outcome, unknown.outcome):
        return Answer(question, "too few prompts to say", Tone.UNKNOWN, numbers)
    if known.outcome is Outcome.BETTER and unknown.outcome is not Outcome.BETTER:
        return Answer(question, "better only on what it saw", Tone.BAD, numbers)
    return Answer(question, "no sign of it", Tone.GOOD, numbers)


def _sentence(comparison: Comparison, where: str = "") -> str:
    metric = comparison.metric
    said = f"{metric.title.capitalize()}{f' {where}' if where else ''} {metric.format(comparison.first)}"
    said += f" → {metric.format(comparison.second)}"
    if comparison.low == comparison.low:
        said += f" (difference {comparison.low:+.{metric.digits}f} to {comparison.high:+.{metric.digits}f})"
    return said


def _of(flags: Values) -> str:
    """The number of ones among the values that are known, in words."""
    return f"{np.count_nonzero(flags == 1)} of {np.count_nonzero(np.isfinite(flags))}"
