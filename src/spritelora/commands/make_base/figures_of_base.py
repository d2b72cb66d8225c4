"""All figures of a base, and its contact sheets."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.making.exam import SIZES, Share, caption_test, mean_loss
from spritelora.embedded.making.figures import Sampling, measure, rounded
from spritelora.embedded.making.judge import Judge
from spritelora.embedded.making.real_judge import (
    RealJudge,
    count_right,
    judge_sprites,
    kernel_distance,
    labels_of,
    thresholds,
)
from spritelora.embedded.making.sheets import draw_sprites, write_sheet
from spritelora.embedded.model.tiny import TinySdxl
from spritelora.embedded.real.canvases import SMALL, TILE, Canvas
from spritelora.embedded.real.hues import HUE_NAMES, colours_of
from spritelora.embedded.real.lessons import FOUR_VIEWS, Lessons
from spritelora.embedded.real.wording import names_colour
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.files import JsonObject, write_whole

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
FIGURES_STREAM = 31
SHEET_SPRITES = 24


@dataclass(frozen=True)
class Effort:
    """The extent of the figures; `num_questions`: subjects of the caption test, and of the loss by size."""

    num_questions: int
    num_images: int
    sampling: Sampling


def denoising_figures(parts: TinySdxl, lessons: Lessons, effort: Effort) -> JsonObject:
    """The caption test and the loss by size, on known and on unseen subjects."""
    figures: JsonObject = {}
    for name, held_out in (("known", False), ("unseen", True)):
        for canvas in (SMALL, TILE):
            share = caption_test(parts, lessons, canvas, held_out, effort.num_questions)
            figures[f"caption_test_{name}_{canvas}"] = str(share)
        for canvas in SIZES:
            loss = mean_loss(parts, lessons, canvas, held_out, effort.num_questions)
            figures[f"loss_{name}_{canvas}"] = round(loss, 4)
        logger.info("%s", {key: value for key, value in figures.items() if name in key})
    return figures


def choose_records(lessons: Lessons, canvas: Canvas, held_out: bool, most: int) -> list[int]:
    """One record each of `most` subjects at most, by how often training shows such; the same ones at every call."""
    rng = np.random.default_rng([FIGURES_STREAM, canvas.height, int(held_out)])
    subjects = lessons.by_subject(canvas, held_out)
    count = min(most, len(subjects))
    order = rng.choice(len(subjects), count, replace=False, p=lessons.chances_of(subjects))
    return [subjects[place][int(rng.integers(len(subjects[place])))] for place in order]


def drawing_figures(pipeline: Any, lessons: Lessons, judge: RealJudge, effort: Effort, folder: Path) -> JsonObject:
    """The figures of drawn sprites, and a contact sheet of each size."""
    figures: JsonObject = {}
    for canvas in (SMALL, TILE):
        unseen = choose_records(lessons, canvas, True, 10_000)
        unseen_logits, unseen_features = judge_sprites(judge, pictures(lessons, unseen, canvas))
        limits = thresholds(unseen_logits, labels_of_all(judge, lessons, unseen))
        taught_numbers = [number for numbers in lessons.taught[canvas] for number in numbers]
        index = SpriteIndex(pictures(lessons, taught_numbers, canvas))
        for name, held_out in (("known", False), ("unseen", True)):
            numbers = choose_records(lessons, canvas, held_out, effort.num_images)
            captions = [lessons.plain_lesson(number, canvas).caption for number in numbers]
            drawn = draw_sprites(pipeline, captions, canvas, effort.sampling.num_steps, effort.sampling.guidance)
            logits, features = judge_sprites(judge, list(drawn))
            real_logits, _ = judge_sprites(judge, pictures(lessons, numbers, canvas))
            labels = labels_of_all(judge, lessons, numbers)
            rows: JsonObject = {**judged(judge, logits, labels, limits, "drawn")}
            rows |= judged(judge, real_logits, labels, limits, "real")
            rows["copies"] = str(Share(sum(index.nearest(each).memorised for each in drawn), len(drawn)))
            rows["feature_distance_to_unseen"] = round(kernel_distance(features, unseen_features), 4)
            figures |= {f"{key}_{name}_{canvas}": value for key, value in rows.items()}
            count = SHEET_SPRITES
            write_sheet(drawn[:count], captions[:count], folder / f"sheet_{name}_{canvas}.png")
            logger.info("%s", rows)
        figures[f"colour_asked_{canvas}"] = str(colour_share(pipeline, lessons, canvas, effort))
    return figures


def drawn_subjects_figures(pipeline: Any, judge: Judge, sampling: Sampling, seed: int) -> JsonObject:
    """The figures of the subjects that code draws."""
    return {f"drawn_{name}": value for name, value in rounded(measure(pipeline, judge, sampling, seed)).items()}


def pictures(lessons: Lessons, numbers: Sequence[int], canvas: Canvas) -> list[Pixels]:
    """Records as tests show them."""
    return [lessons.plain_lesson(number, canvas).pixels for number in numbers]


def labels_of_all(judge: RealJudge, lessons: Lessons, numbers: Sequence[int]) -> NDArray[np.float32]:
    """Which of the judge's words fit each record, (N, W) of 0 and 1."""
    return np.stack([labels_of(lessons.packed.records[number], judge.words).numpy() for number in numbers])


def judged(
    judge: RealJudge, logits: NDArray[np.float32], labels: NDArray[np.float32], limits: NDArray[np.float32], name: str
) -> dict[str, str]:
    """The shares of fitting words, and of fitting views, that the judge finds; `name`: of the images judged."""
    rows: dict[str, str] = {}
    for what, among in (("words", None), ("views", FOUR_VIEWS)):
        num_right, num_asked = count_right(logits, labels, limits, judge.words, among)
        rows[f"{what}_{name}"] = str(Share(num_right, num_asked)) if num_asked else "none asked"
    return rows


def colour_share(pipeline: Any, lessons: Lessons, canvas: Canvas, effort: Effort) -> Share:
    """The share of drawn sprites whose two main colours hold the one that the caption asks for."""
    rng = np.random.default_rng([FIGURES_STREAM, 5, canvas.height])
    numbers = choose_records(lessons, canvas, False, 10_000)
    records = [lessons.packed.records[number] for number in numbers]
    names = [record.name for record in records if not names_colour(record.name) and not record.is_opaque]
    names = list(dict.fromkeys(names))[: effort.num_images]
    colours = [str(rng.choice(HUE_NAMES)) for _ in names]
    captions = [f"pixel art, {colour} {name}" for colour, name in zip(colours, names, strict=True)]
    drawn = draw_sprites(
        pipeline, captions, canvas, effort.sampling.num_steps, effort.sampling.guidance, first_seed=10_000
    )
    right = [colour in colours_of(without_ground(sprite))[:2] for colour, sprite in zip(colours, drawn, strict=True)]
    return Share(sum(right), len(right))


def without_ground(sprite: Pixels) -> Pixels:
    """A sprite (H, W, 3) as RGBA, transparent where it is within 12 code values of its upper left corner."""
    same = np.abs(sprite.astype(int) - sprite[0, 0]).max(-1) <= 12
    return np.dstack([sprite, np.where(same, 0, 255).astype(np.uint8)])


def write_figures(figures: JsonObject, folder: Path) -> None:
    """Write the figures as JSON."""
    write_whole(folder / "figures.json", json.dumps(figures, indent=2) + "\n")
