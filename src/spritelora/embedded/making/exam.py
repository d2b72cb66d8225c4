"""Measures of the base by denoising alone: the caption test, and the loss on sprites it has not seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spritelora.embedded.making.denoiser import encode_text
from spritelora.embedded.making.teaching import denoising_losses, stack, time_ids
from spritelora.embedded.model.network import to_latents
from spritelora.embedded.model.tiny import TinySdxl
from spritelora.embedded.real.canvases import FACE, ICON, SMALL, TILE, Canvas
from spritelora.embedded.real.lessons import Lesson, Lessons

NUM_CAPTIONS = 8
TIMESTEPS = (500, 650, 800, 900)
"""Where a sprite's subject is decided: before, one sees it in the noise; later, there is nothing to see yet."""
NUM_NOISES = 2
"""Noises that each caption is tried with at each of them."""

LOSS_TIMESTEPS = tuple(range(50, 1000, 100))
SIZES = (SMALL, ICON, TILE, FACE)

EXAM_STREAM = 23


@dataclass(frozen=True)
class Share:
    """A share of right answers, with its 95 % interval."""

    num_right: int
    num_asked: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.num_right / self.num_asked

    @property
    def interval(self) -> tuple[float, float]:
        """Source: Wilson 1927, doi:10.1080/01621459.1927.10502953."""
        z, count, share = 1.96, self.num_asked, self.value
        centre = (share + z * z / (2 * count)) / (1 + z * z / count)
        reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
        return max(0.0, centre - reach), min(1.0, centre + reach)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.2f} [{low:.2f}, {high:.2f}] of {self.num_asked}"


def one_of_each_subject(
    lessons: Lessons, canvas: Canvas, held_out: bool, most: int, rng: np.random.Generator
) -> list[Lesson]:
    """Plain lessons of different subjects with different captions, in random order, `most` at most."""
    subjects = lessons.by_subject(canvas, held_out)
    found: dict[str, Lesson] = {}
    for place in rng.permutation(len(subjects)):
        numbers = subjects[place]
        lesson = lessons.plain_lesson(numbers[int(rng.integers(len(numbers)))], canvas)
        found.setdefault(lesson.caption, lesson)
        if len(found) == most:
            break
    return list(found.values())


def too_few_subjects(lessons: Lessons) -> str | None:
    """Which sprites show fewer subjects, known or unseen, than the caption test takes; None: there are enough."""
    for held_out, name in ((False, "known"), (True, "unseen")):
        for canvas in SIZES:
            found = one_of_each_subject(lessons, canvas, held_out, NUM_CAPTIONS, np.random.default_rng(0))
            if len(found) < NUM_CAPTIONS:
                return f"{len(found)} {name} subjects of {canvas.height} px, and the figures take {NUM_CAPTIONS}"
    return None


def choose_captions(place: int, captions: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The right caption of a question, first, and others."""
    others = [number for number in range(len(captions)) if number != place]
    chosen = rng.choice(others, NUM_CAPTIONS - 1, replace=False)
    return [captions[place], *(captions[int(number)] for number in chosen)]


@torch.no_grad()
def caption_test(parts: TinySdxl, lessons: Lessons, canvas: Canvas, held_out: bool, num_questions: int) -> Share:
    """The share of right answers: the right one of eight captions has the lowest denoising loss.

    Every caption of a question is tried with the same noise and at the same timesteps; a tie is no right answer.
    """
    rng = np.random.default_rng([EXAM_STREAM, int(held_out), canvas.height, canvas.width])
    asked = one_of_each_subject(lessons, canvas, held_out, num_questions, rng)
    captions = [lesson.caption for lesson in asked]
    num_right = 0
    for place, lesson in enumerate(asked):
        losses = losses_of_captions(parts, lesson, choose_captions(place, captions, rng), canvas, place)
        num_right += bool((losses[0] < losses[1:]).all())
    return Share(num_right, len(asked))


def losses_of_captions(parts: TinySdxl, lesson: Lesson, captions: Sequence[str], canvas: Canvas, seed: int) -> Tensor:
    """The mean loss of a lesson under each caption, (len(captions),)."""
    device = next(parts.unet.parameters()).device
    context, pooled = encode_text(parts, captions, device)
    clean = to_latents(parts.vae, stack([lesson], device)).expand(len(captions), -1, -1, -1)
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(len(captions), device=device)
    for timestep in TIMESTEPS * NUM_NOISES:
        noise = torch.randn(clean.shape[1:], generator=generator).to(device).expand_as(clean)
        steps = torch.full((len(captions),), timestep, device=device)
        ids = time_ids(canvas, len(captions)).to(device)
        total += denoising_losses(parts, clean, noise, steps, (context, pooled), ids)
    return total / (len(TIMESTEPS) * NUM_NOISES)


@torch.no_grad()
def mean_loss(parts: TinySdxl, lessons: Lessons, canvas: Canvas, held_out: bool, most: int) -> float:
    """The training loss on plain lessons at spread timesteps, one each, with noise that is always the same."""
    rng = np.random.default_rng([EXAM_STREAM, 2 + int(held_out), canvas.height, canvas.width])
    device = next(parts.unet.parameters()).device
    chosen = one_of_each_subject(lessons, canvas, held_out, most, rng)
    losses: list[Tensor] = []
    for start in range(0, len(chosen), len(LOSS_TIMESTEPS)):
        batch = chosen[start : start + len(LOSS_TIMESTEPS)]
        clean = to_latents(parts.vae, stack(batch, device))
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(start)).to(device)
        steps = torch.tensor(LOSS_TIMESTEPS[: len(batch)], device=device)
        text = encode_text(parts, [lesson.caption for lesson in batch], device)
        losses.append(denoising_losses(parts, clean, noise, steps, text, time_ids(canvas, len(batch)).to(device)))
    return float(torch.cat(losses).mean())
