"""A classifier of real sprites: which words of names, kinds and views fit a picture."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spritelora.embedded.making.base_loop import StepPlan, train
from spritelora.embedded.making.judge import convolution
from spritelora.embedded.real.canvases import SMALL, TILE, Canvas
from spritelora.embedded.real.hues import NAMES
from spritelora.embedded.real.lessons import FOUR_VIEWS, SIDES, Lessons
from spritelora.embedded.real.records import Record
from spritelora.embedded.real.wording import OWN_WORDS

Pixels = NDArray[np.uint8]

FEWEST_EXAMPLES = 15
"""Subjects that a word needs to be judged."""

NOT_JUDGED = {*NAMES, *OWN_WORDS, "of", "in", "on", "the", "to", "its", "up", "dark", "light", "pale", "one", "two"}

PIXEL_NOISE = 0.05
"""Standard deviation, where black to white is 2: samples are not as clean as what is drawn."""

JUDGE_STREAM = 29
SIDE_PX = 32
FALSE_ALARMS = 0.05
"""Share of other sprites that a word's threshold lets pass."""


class RealJudge(nn.Module):
    """Says how well each word fits a sprite."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self.words = list(words)
        self.body = nn.Sequential(
            *convolution(3, 32, 1),
            *convolution(32, 64, 2),
            *convolution(64, 96, 2),
            *convolution(96, 128, 2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(128 * 16, 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, len(self.words))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, len(words)) and features (B, 128) of sprites (B, 3, 32, 32) in [-1, 1]."""
        features = self.body(pixels)
        return self.head(features), features


def words_of(record: Record) -> set[str]:
    """The words of a record that may be judged: those of its name, its kinds and its view."""
    phrases = {*record.name.split(), *record.kinds} - NOT_JUDGED
    return phrases | ({record.view} if record.view else set())


def judged_words(records: Sequence[Record]) -> list[str]:
    """The words that enough subjects of training have."""
    pairs = {(word, record.subject) for record in records if not record.is_held_out for word in words_of(record)}
    counts = Counter(word for word, _ in pairs)
    return sorted(word for word, count in counts.items() if count >= FEWEST_EXAMPLES)


def labels_of(record: Record, words: Sequence[str]) -> Tensor:
    """Which words fit a record, (len(words),) of 0 and 1."""
    own = words_of(record)
    return torch.tensor([float(word in own) for word in words])


def to_input(sprites: Sequence[Pixels]) -> Tensor:
    """Sprites of 16 or 32 px, (H, W, 3) each, as (B, 3, 32, 32) in [-1, 1]; those of 16 px are enlarged."""
    enlarged = [sprite.repeat(SIDE_PX // len(sprite), 0).repeat(SIDE_PX // len(sprite), 1) for sprite in sprites]
    return torch.from_numpy(np.stack(enlarged)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_real_judge(lessons: Lessons, plan: StepPlan, batch_size: int, seed: int, state_path: Path) -> RealJudge:
    """Train on sprites of subjects that are not held out, of 16 and of 32 px, each subject weighed alike."""
    records = lessons.packed.records
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = RealJudge(judged_words(records))

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng([seed, JUDGE_STREAM, step])
        canvas = TILE if step % 2 else SMALL
        subjects = lessons.taught[canvas]
        numbers = [subjects[int(rng.integers(len(subjects)))] for _ in range(batch_size)]
        chosen = [each[int(rng.integers(len(each)))] for each in numbers]
        pixels = to_input([unturned(lessons, number, canvas, rng) for number in chosen])
        noise = torch.from_numpy(rng.normal(0.0, PIXEL_NOISE, pixels.shape)).float()
        labels = torch.stack([labels_of(records[number], judge.words) for number in chosen])
        with torch.random.fork_rng(devices=[]):  # dropout
            torch.manual_seed(step)
            logits, _ = judge(pixels + noise)
        return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1).mean() / 4

    train(judge, loss_at, plan, state_path)
    return judge.eval()


def unturned(lessons: Lessons, number: int, canvas: Canvas, rng: np.random.Generator) -> Pixels:
    """A record's picture anywhere on a canvas; turned to its other side only where that changes no word."""
    sprite = lessons.packed.sprite(number)
    record = lessons.packed.records[number]
    if rng.random() < 0.5 and record.view not in SIDES:
        sprite = sprite[:, ::-1]
    ground = np.full((canvas.height, canvas.width, 3), 255, np.uint8)
    top, left = (int(rng.integers(0, spare + 1)) for spare in np.array(ground.shape[:2]) - sprite.shape[:2])
    visible = sprite[..., 3] > 127
    ground[top : top + len(sprite), left : left + sprite.shape[1]][visible] = sprite[..., :3][visible]
    return ground


@torch.no_grad()
def judge_sprites(judge: RealJudge, sprites: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The logits and the features of sprites."""
    logits, features = judge(to_input(sprites))
    return logits.numpy(), features.numpy()


def thresholds(logits: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each word, the logit above which `FALSE_ALARMS` of the sprites lie that it does not fit, (W,)."""
    others = [column[fits == 0] for column, fits in zip(logits.T, labels.T, strict=True)]
    return np.array([np.quantile(each, 1 - FALSE_ALARMS) for each in others], np.float32)


def count_right(
    logits: NDArray[np.float32], labels: NDArray[np.float32], limits: NDArray[np.float32], words: Sequence[str],
    among: Sequence[str] | None = None,
) -> tuple[int, int]:  # fmt: skip
    """Counts the fitting words that are found, and all that fit; `among`: of these words alone, else all but views."""
    chosen = np.array([word in among if among else word not in FOUR_VIEWS for word in words])
    fits = (labels == 1) & chosen
    return int((fits & (logits > limits)).sum()), int(fits.sum())


def kernel_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The squared distance of two sets of features (N, D), (M, D), unbiased: about 0 for two halves of one set.

    Source: Binkowski et al. 2018, arXiv:1801.01401, with its cubic kernel.
    """
    x, y = first.astype(np.float64), second.astype(np.float64)

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return (a @ b.T / a.shape[1] + 1) ** 3

    own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(own[0] + own[1] - 2 * kernel(x, y).mean())
