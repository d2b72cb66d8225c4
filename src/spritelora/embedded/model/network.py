"""The tiny SDXL with the words of real sprites, from random weights or from a base that knows fewer words."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spritelora.embedded.model.tiny import TINY, TinySdxl, build_parts, load_denoiser
from spritelora.embedded.model.tiny_vae import ANCHOR, NUM_COLOURS
from spritelora.weight_files.container import read_tensors


def build_network(seed: int, words: list[str]) -> TinySdxl:
    """The parts in fp32 with random weights that depend on the seed alone; `words`: what are single tokens."""
    return build_parts(seed, words, TINY)


def load_base(parts: TinySdxl, folder: Path) -> None:
    """Put a base's weights into the parts; it may know fewer words than they do."""
    load_denoiser(parts, folder)
    load_vae(parts, folder)


def load_vae(parts: TinySdxl, folder: Path) -> None:
    """Put a base's autoencoder, which is built and not trained, into the parts; kept frozen."""
    parts.vae.load_state_dict(read_tensors(folder / "vae" / "diffusion_pytorch_model.safetensors"))
    parts.vae.eval().requires_grad_(False)


@torch.no_grad()
def to_latents(vae: Any, pixels: Tensor) -> Tensor:
    """The scaled latents of sprites (B, 3, h, w) in [-1, 1], one value a native pixel: (B, 4, h, w).

    What `encode` gives for the sprites enlarged by 8, up to rounding, without running on 64 times as many pixels: all
    but the encoder's last norm and convolution pass such an image through (`embedded/model/tiny_vae.py`).
    """
    encoder = vae.encoder
    norm = encoder.conv_norm_out
    pairs = torch.stack([pixels, -pixels], 2).flatten(1, 2)
    anchors = pixels.new_tensor([ANCHOR, -ANCHOR]).view(1, 2, 1, 1).expand(len(pixels), 2, *pixels.shape[2:])
    carried = torch.cat([pairs, anchors], 1)
    group_size = norm.num_channels // norm.num_groups
    variance = carried.square().mean((2, 3)).sum(1).view(-1, 1, 1, 1) / group_size
    active = functional.silu(carried / (variance + norm.eps).sqrt())
    last = encoder.conv_out
    means = functional.conv2d(active, last.weight[:, : 2 * NUM_COLOURS + 2], last.bias, padding=1)
    return vae.quant_conv(means)[:, :4] * vae.config["scaling_factor"]
