"""Training of the base's UNet and text encoders on lessons."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spritelora.config.train.schema import Prediction
from spritelora.diffusion.objective import add_noise
from spritelora.diffusion.schedule import cumulative_alphas, signal_to_noise
from spritelora.diffusion.weighting import MinSNR
from spritelora.embedded.making.base_loop import StepPlan, train
from spritelora.embedded.making.denoiser import encode_text
from spritelora.embedded.making.shared_steps import num_processes, rank
from spritelora.embedded.model.network import to_latents
from spritelora.embedded.model.tiny import TinySdxl
from spritelora.embedded.real.canvases import FREQUENT, Canvas, batch_size
from spritelora.embedded.real.lessons import Lesson, Lessons
from spritelora.sdxl.layers.compiling import uncompiled
from spritelora.sprites.pixels.image import LATENT_PX

logger = logging.getLogger(__name__)

TEACHING_STREAM = 19

NO_TEXT, EMPTY_PROMPT = 0.06, 0.05
"""Shares of captions left out for guidance: as zeros, and as the empty prompt, for samplers use either."""

OTHER_SIZE = 0.1
"""The share of samples that name another original size than they have."""

REPORT_EVERY = 25
"""Steps between two lines with the loss of each canvas."""

HIGHEST_WEIGHT, MEAN_WEIGHT = 64.0, 8.0
"""The loss is weighted by 1 / abar, as if the model predicted v, up to a limit, and divided by about the mean weight.

With one latent cell to a sprite pixel, what a sprite shows is decided at t from 600 to 900, where the loss of the noise
prediction itself is small, and min-SNR does not raise it: after 8,000 steps with a limit of 16 a caption explained 5 %
of what its picture differs from others by at t of 700 and more.
"""

SHARES_BELOW = ((0, 0.0), (450, 0.4), (700, 0.72), (900, 0.93), (1000, 1.0))
"""Timesteps, and the share of samples below each: few where hardly more than the main colour can be told.

A quarter below 450 and an eighth above 900 was tried for 11,000 steps: shapes came out speckled.
"""

WEIGHTING = MinSNR(gamma=5.0)
"""Of the losses that are reported."""


def trained_parts(parts: TinySdxl) -> nn.ModuleDict:
    """The modules that training changes."""
    return nn.ModuleDict(
        {"unet": parts.unet, "text_encoder": parts.text_encoder, "text_encoder_2": parts.text_encoder_2}
    )


def stack(lessons: Sequence[Lesson], device: torch.device) -> Tensor:
    """The images of lessons as (B, 3, H, W) in [-1, 1], one value a native pixel."""
    pixels = torch.from_numpy(np.stack([lesson.pixels for lesson in lessons])).to(device)
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def time_ids(canvas: Canvas, batch_size: int) -> Tensor:
    """SDXL's six numbers for images of their own size, not cropped: (B, 6)."""
    height, width = canvas.height * LATENT_PX, canvas.width * LATENT_PX
    return torch.tensor([height, width, 0, 0, height, width]).float().expand(batch_size, 6).clone()


@contextlib.contextmanager
def in_bf16(device: torch.device) -> Iterator[None]:
    """Matrix products and convolutions in bfloat16; torch's fused attention is five times slower so on a CPU."""
    fused = contextlib.nullcontext() if device.type == "cuda" else sdpa_kernel(SDPBackend.MATH)
    with torch.autocast(device.type, torch.bfloat16), fused:
        yield


def denoising_losses(
    parts: TinySdxl,
    clean: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    text: tuple[Tensor, Tensor],
    ids: Tensor,
    is_taught: bool = False,
) -> Tensor:
    """The weighted squared error of each sample, (B,). `clean`, `noise`: (B, 4, h, w); `timesteps`: (B,).

    `is_taught`: by the weights of training, not of the figures.
    """
    alphas = cumulative_alphas().to(clean.device)[timesteps]
    noisy = add_noise(clean, noise, alphas.float())
    context, pooled = text
    predicted = parts.unet(
        noisy.contiguous(memory_format=torch.channels_last),
        timesteps,
        context,
        added_cond_kwargs={"text_embeds": pooled, "time_ids": ids},
    ).sample
    errors = (predicted.float() - noise).square().flatten(1).mean(1)
    if is_taught:
        return errors * ((1 / alphas).clamp_max(HIGHEST_WEIGHT) / MEAN_WEIGHT).float()
    return errors * WEIGHTING(signal_to_noise(alphas), Prediction.epsilon).float()


def spread_timesteps(batch_size: int, rng: np.random.Generator) -> Tensor:
    """One timestep from each of `batch_size` equal shares of the samples, in random order, (B,)."""
    places = (rng.permutation(batch_size) + rng.random(batch_size)) / batch_size
    limits, shares = zip(*SHARES_BELOW, strict=True)
    return torch.from_numpy(np.interp(places, shares, limits).astype(np.int64))


class Teacher:
    """The loss of each step, and the mean loss of each canvas since the last report."""

    def __init__(self, parts: TinySdxl, lessons: Lessons, seed: int, cells_a_step: int, is_bf16: bool) -> None:
        self.parts, self.lessons, self.seed, self.cells_a_step = parts, lessons, seed, cells_a_step
        self.is_bf16 = is_bf16
        self.device = next(parts.unet.parameters()).device
        self.losses: dict[str, list[Tensor]] = {}

    def loss_at(self, step: int) -> Tensor:
        """The mean loss of this process's share of a step's lessons.

        Every random number depends on the seed, the step and the sample alone: the mean over all processes is the loss
        of one process that takes them all.
        """
        canvas = self.lessons.canvas_of(self.seed, step)
        rng = np.random.default_rng([self.seed, TEACHING_STREAM, step])
        count = batch_size(canvas, self.cells_a_step)
        dropped = rng.random(count)
        ids = time_ids(canvas, count)
        other = rng.random(count) < OTHER_SIZE
        ids[torch.from_numpy(other), :2] = torch.from_numpy(rng.integers(16, 1025, (int(other.sum()), 1))).float()
        timesteps = spread_timesteps(count, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn((count, 4, canvas.height, canvas.width), generator=generator)
        own = slice(rank(), None, num_processes())
        lessons = self.lessons.batch(self.seed, step, range(count)[own])
        captions = [
            "" if drop < EMPTY_PROMPT else lesson.caption for lesson, drop in zip(lessons, dropped[own], strict=True)
        ]
        context, pooled = encode_text(self.parts, captions, self.device)
        keep = torch.from_numpy(dropped[own] < 1 - NO_TEXT).to(self.device, torch.float32)
        clean = to_latents(self.parts.vae, stack(lessons, self.device))
        text = context * keep.view(-1, 1, 1), pooled * keep.view(-1, 1)
        with in_bf16(self.device) if self.is_bf16 else contextlib.nullcontext():
            given = clean, noise[own].to(self.device), timesteps[own].to(self.device), text, ids[own].to(self.device)
            with contextlib.nullcontext() if canvas in FREQUENT else uncompiled(self.parts.unet):
                losses = denoising_losses(self.parts, *given, is_taught=True)
        # The mean over processes of this is the mean over all samples, of which their shares may differ by one.
        loss = losses.sum() * (num_processes() / count)
        self.losses.setdefault(str(canvas), []).append(loss.detach())
        if (step + 1) % REPORT_EVERY == 0:
            self.report(step + 1)
        return loss

    def report(self, num_steps: int) -> None:
        """Log the mean loss of each canvas, and forget the losses."""
        means = {name: float(torch.stack(losses).mean()) for name, losses in sorted(self.losses.items())}
        logger.info("step %d: %s", num_steps, ", ".join(f"{name} {loss:.4f}" for name, loss in means.items()))
        self.losses.clear()


def teach(teacher: Teacher, plan: StepPlan, state_path: Path, is_time_up: Callable[[], bool]) -> bool:
    """Train to the plan's last step or until the time is up. Returns whether the plan is done."""
    parts = teacher.parts
    parts.unet.to(memory_format=torch.channels_last)
    return train(trained_parts(parts), teacher.loss_at, plan, state_path, is_time_up)
