"""The four questions of a validation: an answer in a sentence, its numbers, and what to do now."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from spritelora.evaluation.registry import COLOUR_DISTANCE, Direction
from spritelora.evaluation.statistics import Comparison, Outcome, Values
from spritelora.evaluation.unmeasured import NO_GRID, TOO_LARGE, left_out, with_pairs
from spritelora.evaluation.validation import (
    SNAPS_BELOW,
    DrawnSet,
    Validation,
    against_base,
    missing,
    share_of,
    shown_strength,
    usable,
)
from spritelora.reports.advice import Advice, Advised, Origin, advise
from spritelora.sprites.pixels.image import LATENT_PX

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
class Verdict:
    """An answer in a sentence, its quality, what it calls for, and the numbers it rests on."""

    answer: str
    tone: Tone
    advice: Advice
    numbers: str


@dataclass(frozen=True)
class Answer:
    """A question with its answer, and what to do now."""

    question: str
    verdict: Verdict
    advised: Advised

    @property
    def record(self) -> dict[str, str]:
        """The answer as plain values."""
        told = self.verdict
        return {
            "question": self.question,
            "answer": told.answer,
            "tone": told.tone.value,
            "numbers": told.numbers,
            "advice": self.advised.text,
            "command": self.advised.public,
        }


def answer_questions(validation: Validation, origin: Origin) -> list[Answer]:
    """The four questions, answered at the best strength. `origin`: of the LoRA, for the commands that are advised."""
    strength = shown_strength(validation)
    drawn, comparisons = validation.by_strength[strength], against_base(validation, strength)
    verdicts = {
        "Does it match your style?": _style(drawn, validation, comparisons.get(COLOUR_DISTANCE.name)),
        "Are the pictures clean pixel art?": _usable(drawn, validation),
        "Is it better than the base model?": _better(comparisons, left_out(missing(validation, strength))),
        "Does it work on new prompts?": _new_prompts(drawn, validation, strength),
    }
    return [Answer(question, told, advise(told.advice, origin, strength)) for question, told in verdicts.items()]


def _style(drawn: DrawnSet, validation: Validation, comparison: Comparison | None) -> Verdict:
    base, floor = validation.base, validation.target.floor(len(drawn.images))
    shown = f"Its pictures together show {drawn.coverage:.0%} of your sprites' colours"
    among = f"your sprites among themselves {COLOUR_DISTANCE.format(floor)}"
    if comparison is None or base is None:
        distance = COLOUR_DISTANCE.format(validation.target.distance_of(drawn.profiles))
        numbers = f"Colour distance {distance}; {among}. {shown}."
        return Verdict("Not compared: the base model was not drawn.", Tone.UNKNOWN, Advice.COMPARE, numbers)
    numbers = f"{_distances(comparison)}; {among}. {shown}, the base's {base.coverage:.0%}."
    if comparison.outcome is Outcome.BETTER and comparison.second > max(FAR, 2 * floor):
        answer = "Colours are closer to your sprites than without the LoRA, and still plainly different."
        return Verdict(answer, Tone.MIXED, Advice.TRAIN_LONGER, numbers)
    told = {
        Outcome.BETTER: ("Colours are closer to your sprites than without the LoRA.", Tone.GOOD, Advice.EXPORT),
        Outcome.WORSE: ("Colours are further from your sprites than without the LoRA.", Tone.BAD, Advice.LOWER_RATE),
        Outcome.NO_DIFFERENCE: (
            "Colours are no closer to your sprites than without the LoRA.", Tone.MIXED, Advice.TRAIN_LONGER
        ),
    }  # fmt: skip
    return Verdict(*told.get(comparison.outcome, TOO_FEW), numbers)


COARSE = 1.75
"""Native pixels are taken for so many times the wanted ones from here on."""

CHANCE = 0.1
"""Of the metrics, those that may come out better where nothing is: 95 % intervals leave one in 20 or so."""

TOO_FEW = ("Too few pictures to say.", Tone.UNKNOWN, Advice.DRAW_MORE)


def _usable(drawn: DrawnSet, validation: Validation) -> Verdict:
    flags = usable(drawn, validation.max_colours)
    few = np.where(drawn.values["num_colours"] <= validation.max_colours, 1.0, 0.0)
    colours = f"{_of(few)} have at most {validation.max_colours} colours"
    share = share_of(flags)
    if math.isnan(share):
        answer = f"Not measured: {NO_GRID} in any picture."
        return Verdict(answer, Tone.UNKNOWN, Advice.TRAIN_LONGER, f"{colours}.".capitalize())
    cell_px = drawn.images[0].shape[1] / drawn.measured[0].native.shape[1]
    pitch = drawn.values["pitch_px"]
    is_coarse = np.where(np.isfinite(pitch), pitch >= COARSE * cell_px, np.nan)
    if share_of(is_coarse) > 0.5:
        times = np.nanmedian(pitch[is_coarse == 1]) / cell_px
        answer = f"No: in {_of(is_coarse)} a pixel is {times:.2g} times as wide as your sprites' pixels."
        advice = Advice.LARGER_CANVAS if cell_px < LATENT_PX else Advice.TRAIN_LONGER
        return Verdict(answer, Tone.BAD, advice, f"{colours}.".capitalize())
    residual = drawn.values["snap_residual"]
    snapped = np.where(np.isfinite(residual), residual < SNAPS_BELOW, np.nan)
    numbers = f"{_of(snapped)} have one colour in each pixel (residual below {SNAPS_BELOW}), {colours}"
    if validation.base is not None:
        numbers += f"; of the base's pictures {_of(usable(validation.base, validation.max_colours))} are clean"
    if unknown := np.count_nonzero(np.isnan(flags)):
        numbers += f"; {unknown} more are left out, for {NO_GRID} in them"
    word, tone = (
        ("Yes", Tone.GOOD) if share >= MOSTLY else ("Some are", Tone.MIXED) if share >= 0.5 else ("No", Tone.BAD)
    )
    return Verdict(f"{word}: {_of(flags)} are clean as drawn.", tone, Advice.GENERATE, f"{numbers}.")


def _better(comparisons: Mapping[str, Comparison], absent: str) -> Verdict:
    judged = [c for c in with_pairs(comparisons.values()) if c.metric.direction is not Direction.NEITHER]
    if not judged:
        return Verdict("Not compared: the base model was not drawn.", Tone.UNKNOWN, Advice.COMPARE, absent)
    if all(c.outcome is Outcome.TOO_FEW for c in judged):
        return Verdict(*TOO_FEW, absent)
    better, worse = ([c.metric.title for c in judged if c.outcome is o] for o in (Outcome.BETTER, Outcome.WORSE))
    parts = (("Better", better), ("Worse", worse))
    listed = " ".join(f"{what} in {', '.join(names)}." for what, names in parts if names)
    undecided = len(judged) - len(better) - len(worse)
    numbers = f"{listed} No difference shown in {undecided} of {len(judged)} metrics. {absent}".strip()
    if not better and not worse:
        return Verdict("No difference shown.", Tone.MIXED, Advice.TRAIN_LONGER, numbers)
    if not worse and len(better) <= CHANCE * len(judged):
        answer = f"Hardly: better in {_metrics(better)} of {len(judged)}, which may be chance."
        return Verdict(answer, Tone.MIXED, Advice.TRAIN_LONGER, numbers)
    if not worse:
        return Verdict(f"Yes: better in {_metrics(better)}, worse in none.", Tone.GOOD, Advice.EXPORT, numbers)
    answer = f"better in {_metrics(better)}, worse in {len(worse)}."
    if len(better) > len(worse):
        return Verdict(f"Mostly: {answer}", Tone.MIXED, Advice.GENERATE, numbers)
    return Verdict(f"No: {answer}", Tone.BAD, Advice.LOWER_RATE, numbers)


def _new_prompts(drawn: DrawnSet, validation: Validation, strength: float) -> Verdict:
    new, copies = ~validation.is_seen, drawn.copies
    if not new.any():
        return Verdict("Not tried: there were no new prompts.", Tone.UNKNOWN, Advice.GIVE_PROMPTS, "")
    if not np.isfinite(copies[new]).any():
        return Verdict("Not measured.", Tone.UNKNOWN, Advice.GIVE_PROMPTS, f"Of pictures on new prompts: {TOO_LARGE}.")
    numbers = f"Copies of one of your sprites: {_of(copies[new])} on new prompts"
    if validation.is_seen.any():
        numbers += f", {_of(copies[~new])} on training captions"
    if validation.base is not None:
        numbers += f", the base's {_of(validation.base.copies)}"
    numbers += "."
    if share_of(copies[new]) > MANY_COPIES:
        answer = f"No: {_of(copies[new])} pictures on new prompts are copies of one of your sprites."
        return Verdict(answer, Tone.BAD, Advice.STOP_EARLIER, numbers)
    known, unknown = (against_base(validation, strength, seen=s).get(COLOUR_DISTANCE.name) for s in (True, False))
    if known is None or unknown is None:
        return Verdict("Few copies; not compared with the base model.", Tone.UNKNOWN, Advice.COMPARE, numbers)
    numbers += f" Training captions: {_distances(known)}. New prompts: {_distances(unknown)}."
    if Outcome.TOO_FEW in (known.outcome, unknown.outcome):
        return Verdict("Too few prompts to say.", Tone.UNKNOWN, Advice.DRAW_MORE, numbers)
    if known.outcome is Outcome.BETTER and unknown.outcome is not Outcome.BETTER:
        return Verdict("No: colours improve only on its training captions.", Tone.BAD, Advice.STOP_EARLIER, numbers)
    if np.nansum(copies[new]) == 0:
        answer = "Yes: as well as on its own captions, and no picture is a copy of one of your sprites."
    else:
        answer = f"Yes: as well as on its own captions; {_of(copies[new])} are copies of one of your sprites."
    return Verdict(answer, Tone.GOOD, Advice.GENERATE, numbers)


def _distances(comparison: Comparison) -> str:
    metric = comparison.metric
    said = f"{metric.title} {metric.format(comparison.second)}, without the LoRA {metric.format(comparison.first)}"
    if comparison.low == comparison.low:
        said += f" (difference {comparison.low:+.{metric.digits}f} to {comparison.high:+.{metric.digits}f})"
    return said[0].upper() + said[1:]


def _metrics(names: list[str]) -> str:
    return f"{len(names)} metric{'' if len(names) == 1 else 's'}"


def _of(flags: Values) -> str:
    """The number of ones among the values that are known, in words."""
    return f"{np.count_nonzero(flags == 1)} of {np.count_nonzero(np.isfinite(flags))}"
