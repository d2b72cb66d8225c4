"""Training of the base's UNet together with its two text encoders."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spritelora.embedded.drawn import SpriteSpec, write_caption
from spritelora.embedded.making.base_loop import StepPlan, train
from spritelora.embedded.model.tiny import RESOLUTION_PX, TinySdxl

DENOISER_STREAM = 5

NO_TEXT, EMPTY_PROMPT = 0.06, 0.05
"""Shares of captions left out for guidance: as zeros, and as the empty prompt, for samplers use either."""

OTHER_SIZE = 0.1
"""The share of samples that name another original size than they have."""

HIGHEST_WEIGHT, MEAN_WEIGHT = 16.0, 5.0
"""The loss is weighted by 1 / abar, as if the model predicted v, up to a limit, and divided by about the mean weight.

With one latent cell to a sprite pixel, what a sprite shows is decided at t from 600 to 950, where the loss of the
noise prediction itself is small: unweighted, 1,200 steps taught colours, but right and wrong subjects differed by 2 %
in loss.
"""


def initialise_unet(unet: nn.Module) -> None:
    """Start every residual branch and the output at zero, as the first latent diffusion models did."""
    for name, layer in unet.named_modules():
        if name.endswith(("conv2", "proj_out", "conv_out")):
            for value in layer.parameters():
                nn.init.zeros_(value)


def encode_text(parts: TinySdxl, captions: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Both encoders' second to last states (B, 77, 160), and the pooled embedding (B, 96)."""
    states: list[Tensor] = []
    pooled = torch.empty(0)
    for tokenizer, encoder in ((parts.tokenizer, parts.text_encoder), (parts.tokenizer_2, parts.text_encoder_2)):
        tokens = tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt").input_ids
        encoded = encoder(tokens.to(device), output_hidden_states=True)
        states.append(encoded.hidden_states[-2])
        pooled = encoded[0]
    return torch.cat(states, -1), pooled


def draw_time_ids(batch_size: int, rng: np.random.Generator) -> Tensor:
    """SDXL's six numbers: original height and width, crop top and left, target height and width, (B, 6)."""
    ids = np.tile(np.array([RESOLUTION_PX, RESOLUTION_PX, 0, 0, RESOLUTION_PX, RESOLUTION_PX]), (batch_size, 1))
    other = rng.random(batch_size) < OTHER_SIZE
    ids[other, :2] = rng.integers(16, 1025, (int(other.sum()), 1))
    return torch.from_numpy(ids).float()


def train_denoiser(
    parts: TinySdxl,
    latents: Tensor,
    specs: Sequence[SpriteSpec],
    plan: StepPlan,
    batch_size: int,
    seed: int,
    state_path: Path,
) -> None:
    """Train UNet and text encoders to predict the noise in `latents` (N, 4, 16, 16), which `specs` describe."""
    device = next(parts.unet.parameters()).device
    parts.unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    signal_share = parts.scheduler.alphas_cumprod.to(device)
    num_timesteps = len(signal_share)

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng([seed, DENOISER_STREAM, step])
        chosen = rng.integers(0, len(latents), batch_size)
        dropped = rng.random(batch_size)
        captions = [
            "" if drop < EMPTY_PROMPT else write_caption(specs[at], rng)
            for at, drop in zip(chosen, dropped, strict=True)
        ]
        context, pooled = encode_text(parts, captions, device)
        keep = torch.from_numpy(dropped < 1 - NO_TEXT).to(device, torch.float32)
        timesteps = torch.from_numpy(rng.integers(0, num_timesteps, batch_size))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        clean = latents[torch.from_numpy(chosen)]
        noise = torch.randn(clean.shape, generator=generator).to(device)
        share = signal_share[timesteps.to(device)].view(-1, 1, 1, 1)
        noisy = share.sqrt() * clean.to(device) + (1 - share).sqrt() * noise
        predicted = parts.unet(
            noisy.contiguous(memory_format=torch.channels_last),
            timesteps.to(device),
            context * keep.view(-1, 1, 1),
            added_cond_kwargs={
                "text_embeds": pooled * keep.view(-1, 1),
                "time_ids": draw_time_ids(batch_size, rng).to(device),
            },
        ).sample
        weight = (1 / share).clamp_max(HIGHEST_WEIGHT) / MEAN_WEIGHT
        return (weight * functional.mse_loss(predicted, noise, reduction="none")).mean()

    trained = nn.ModuleDict(
        {"unet": parts.unet, "text_encoder": parts.text_encoder, "text_encoder_2": parts.text_encoder_2}
    )
    train(trained, loss_at, plan, state_path)
