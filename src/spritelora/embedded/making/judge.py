"""A small classifier of subject and colour, trained on drawn sprites: what the base's samples are judged with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spritelora.embedded.drawn import draw_sprite, sample_spec
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.embedded.making.base_loop import StepPlan, train

JUDGE_STREAM = 3

PIXEL_NOISE = 0.08
"""Standard deviation, where black to white is 2: samples are never as clean as what is drawn."""


Pixels = NDArray[np.uint8]


class Judge(nn.Module):
    """Says which subject and which colour a sprite shows."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(3, 32, 1),
            *convolution(32, 64, 2),
            *convolution(64, 96, 1),
            *convolution(96, 128, 2),
            nn.Flatten(),
            nn.Linear(128 * 16, 192),
            nn.ReLU(),
        )
        self.subject = nn.Linear(192, len(SUBJECTS))
        self.colour = nn.Linear(192, len(COLOURS))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits over SUBJECTS and over COLOURS; `pixels`: (B, 3, 16, 16) in [-1, 1]."""
        features = self.body(pixels)
        return self.subject(features), self.colour(features)


def convolution(channels_in: int, channels_out: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A 3 x 3 convolution, normalised, rectified."""
    layer = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
    return layer, nn.GroupNorm(8, channels_out), nn.ReLU()


def to_tensor(sprites: Pixels) -> Tensor:
    """Sprites (B, 16, 16, 3) as (B, 3, 16, 16) in [-1, 1]."""
    return torch.from_numpy(sprites).permute(0, 3, 1, 2).float() / 127.5 - 1


def draw_labelled(num_sprites: int, rng: np.random.Generator) -> tuple[Pixels, Tensor, Tensor]:
    """Random sprites with the numbers of their subjects and colours."""
    specs = [sample_spec(rng) for _ in range(num_sprites)]
    pixels = np.stack([draw_sprite(spec, rng) for spec in specs])
    subjects = torch.tensor([list(SUBJECTS).index(spec.subject) for spec in specs])
    colours = torch.tensor([list(COLOURS).index(spec.colour) for spec in specs])
    return pixels, subjects, colours


def train_judge(
    plan: StepPlan,
    batch_size: int,
    seed: int,
    state_path: Path,
    draw: Callable[[int, np.random.Generator], tuple[Pixels, Tensor, Tensor]] = draw_labelled,
) -> Judge:
    """Train a judge on sprites drawn at every step, with noise on them; `draw` may show it another style too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge()

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng([seed, JUDGE_STREAM, step])
        pixels, subjects, colours = draw(batch_size, rng)
        noise = torch.from_numpy(rng.normal(0.0, PIXEL_NOISE, pixels.shape)).permute(0, 3, 1, 2).float()
        subject_logits, colour_logits = judge(to_tensor(pixels) + noise)
        return functional.cross_entropy(subject_logits, subjects) + functional.cross_entropy(colour_logits, colours)

    train(judge, loss_at, plan, state_path)
    return judge.eval()


@torch.no_grad()
def judge_sprites(
    judge: Judge, sprites: Pixels, subjects: Sequence[str], colours: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each sprite shows the subject, and the colour, that it should."""
    subject_logits, colour_logits = judge(to_tensor(sprites))
    found_subjects = np.array(list(SUBJECTS))[subject_logits.argmax(1).numpy()]
    found_colours = np.array(list(COLOURS))[colour_logits.argmax(1).numpy()]
    return found_subjects == np.array(subjects), found_colours == np.array(colours)
