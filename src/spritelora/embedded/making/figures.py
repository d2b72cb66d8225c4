"""Figures of a base about the subjects that code draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn import draw_demo_set
from spritelora.embedded.drawn.drawn_sprite import held_out_pairs
from spritelora.embedded.drawn.material_grid import GRID_PX
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.embedded.making.drawn_set import UNSEEN_STREAM, draw_sprites
from spritelora.embedded.making.judge import Judge, judge_sprites
from spritelora.embedded.making.sheets import shrink
from spritelora.embedded.model.tiny_latents import reconstruction_db
from spritelora.embedded.model.tiny_sample import draw_images
from spritelora.files import JsonObject

Images = NDArray[np.uint8]
Pair = tuple[str, str]

NUM_UNSEEN = 512


@dataclass(frozen=True)
class Sampling:
    """The settings for drawing the judged images."""

    samples_per_pair: int
    num_steps: int
    guidance: float


@dataclass(frozen=True)
class Figures:
    """Shares are of images whose subject or colour the judge names as the prompt does."""

    judge_subject: float
    judge_colour: float
    subject: float
    colour: float
    held_out_subject: float
    held_out_colour: float
    cell_spread: float
    """Median over the cells of the samples, in code values of 255."""
    vae_unseen_db: float
    vae_demo_db: float
    num_images: int


def measure(pipeline: Any, judge: Judge, sampling: Sampling, seed: int) -> Figures:
    """Judge samples of every subject in every colour, and the autoencoder on sprites it has not been whitened on."""
    pairs = [pair for pair in all_pairs() for _ in range(sampling.samples_per_pair)]
    prompts = [f"pixel art, {colour} {subject}" for subject, colour in pairs]
    images = draw_images(pipeline, prompts, range(len(prompts)), sampling.num_steps, sampling.guidance)
    right_subject, right_colour = judge_sprites(judge, shrink(images), *unzip(pairs))
    unseen = draw_sprites(NUM_UNSEEN, seed, UNSEEN_STREAM, [])
    real_subject, real_colour = judge_sprites(
        judge, unseen.pixels, [spec.subject for spec in unseen.specs], [spec.colour for spec in unseen.specs]
    )
    demo = np.stack([np.asarray(image) for image, _ in draw_demo_set()])
    held_out = set(held_out_pairs())
    return Figures(
        judge_subject=float(real_subject.mean()),
        judge_colour=float(real_colour.mean()),
        subject=float(right_subject.mean()),
        colour=float(right_colour.mean()),
        held_out_subject=share_among(right_subject, pairs, held_out),
        held_out_colour=share_among(right_colour, pairs, held_out),
        cell_spread=cell_spread(images),
        vae_unseen_db=reconstruction_db(pipeline.vae, unseen.pixels),
        vae_demo_db=reconstruction_db(pipeline.vae, demo),
        num_images=len(images),
    )


def all_pairs() -> list[Pair]:
    """Every subject in every colour."""
    return [(subject, colour) for subject in SUBJECTS for colour in COLOURS]


def unzip(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """The subjects and the colours of pairs."""
    return [subject for subject, _ in pairs], [colour for _, colour in pairs]


def share_among(right: NDArray[np.bool_], pairs: Sequence[Pair], among: set[Pair]) -> float:
    """The share of right answers over the images of some pairs."""
    return float(right[[pair in among for pair in pairs]].mean())


def split_cells(images: Images) -> Images:
    """Images (N, H, W, 3) as cells: (N, 16, 16, pixels of a cell, 3)."""
    count, height, _, _ = images.shape
    side = height // GRID_PX
    cells = images.reshape(count, GRID_PX, side, GRID_PX, side, 3).transpose(0, 1, 3, 2, 4, 5)
    return cells.reshape(count, GRID_PX, GRID_PX, side * side, 3)


def cell_spread(images: Images) -> float:
    """The spread of colours inside a sprite pixel: the median over all cells of the standard deviation, in code values.

    The deviation is taken over the 8 x 8 pixels of a cell and averaged over the three channels.
    """
    return float(np.median(split_cells(images).astype(np.float32).std(3).mean(-1)))


def rounded(figures: Figures) -> JsonObject:
    """Figures by name, to four digits."""
    return {name: round(value, 4) for name, value in vars(figures).items()}
