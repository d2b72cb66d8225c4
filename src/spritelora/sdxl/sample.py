"""Sampling with a UNet in memory: start noise from seeds, classifier-free guidance, Euler's method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor

from spritelora.diffusion.draws import generator
from spritelora.sdxl.latents import time_ids
from spritelora.sdxl.text import TextEmbedding


def call_unet(
    unet: UNet2DConditionModel, noisy: Tensor, timesteps: Tensor, text: Tensor, conditions: dict[str, Tensor]
) -> Tensor:
    """SDXL's UNet on a batch. `noisy`: (B, 4, h, w); `timesteps`: (B,); `text`: (B, 77, D)."""
    return unet(noisy, timesteps, encoder_hidden_states=text, added_cond_kwargs=conditions, return_dict=False)[0]


def start_noise(seed: int, count: int, width_px: int, height_px: int | None = None) -> Tensor:
    """Standard normal latents, the i-th a function of (seed, i) alone. (count, 4, height_px/8, width_px/8).

    `height_px`: None for a square.
    """
    size = (width_px, width_px if height_px is None else height_px)
    return torch.stack([one_noise(seed, number, size) for number in range(count)])


def one_noise(seed: int, number: int, size: tuple[int, int]) -> Tensor:
    """The start noise of that number, (4, h/8, w/8). `size`: of the image in pixels, width before height."""
    shape = (4, size[1] // 8, size[0] // 8)
    return torch.randn(shape, generator=generator(seed, "sample", number))


@dataclass(frozen=True)
class Sampling:
    """Euler's method over a noise schedule: its number of steps, and classifier-free guidance, 1: none."""

    scheduler: EulerDiscreteScheduler
    steps: int
    guidance: float


@torch.no_grad()
def sample_latents(
    unet: UNet2DConditionModel,
    sampling: Sampling,
    prompts: Sequence[TextEmbedding],
    negative: TextEmbedding,
    noise: Tensor,
    on_step: Callable[[], object] = lambda: None,
) -> Tensor:
    """Denoise one latent for each prompt. `noise`: (B, 4, h, w). Returns scaled latents like it, in fp32 on the CPU.

    `on_step` hears of every denoising step.
    """
    device, dtype = unet.device, unet.dtype
    scheduler, guidance = sampling.scheduler, sampling.guidance
    doubled = [*prompts, *[negative] * len(prompts)] if guidance > 1 else list(prompts)
    text = torch.stack([p.states for p in doubled]).to(device, dtype)
    pooled = torch.stack([p.pooled for p in doubled]).to(device, dtype)
    sizes = time_ids(8 * noise.shape[-2], 8 * noise.shape[-1]).repeat(len(doubled), 1).to(device)
    conditions = {"text_embeds": pooled, "time_ids": sizes}
    scheduler.set_timesteps(sampling.steps, device=device)
    latents = noise.to(device) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        inputs = latents.repeat(len(doubled) // len(prompts), 1, 1, 1)
        noisy = scheduler.scale_model_input(inputs, timestep).to(dtype)
        predicted = call_unet(unet, noisy, timestep.expand(len(doubled)), text, conditions).float()
        if guidance > 1:
            wanted, unwanted = predicted.chunk(2)
            predicted = unwanted + guidance * (wanted - unwanted)
        latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]  # pyright: ignore
        on_step()
    return latents.float().cpu()
