"""The base's network for real sprites: SDXL's structure, with its weights where they are cheap.

Most parameters work on 8 x 8 cells of a 256 px canvas. The first level, which runs on every cell, has few channels.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from spritelora.embedded.model.tiny import RESOLUTION_PX, TOKEN_STD, TinySdxl, build_scheduler, text_config
from spritelora.embedded.model.tiny_vae import ANCHOR, NUM_COLOURS, build_vae
from spritelora.sdxl.files.tiny_tokenizer import END, build_tokenizer
from spritelora.weight_files.container import read_tensors

TEXT_WIDTHS = (64, 128)
SIZE_EMBEDDING = 32

UNET: dict[str, Any] = {
    "sample_size": RESOLUTION_PX // 8,
    "block_out_channels": (32, 96, 224),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 1, 2),
    "attention_head_dim": (2, 3, 7),
    "norm_num_groups": 16,
    "cross_attention_dim": sum(TEXT_WIDTHS),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": SIZE_EMBEDDING,
    "projection_class_embeddings_input_dim": TEXT_WIDTHS[1] + 6 * SIZE_EMBEDDING,
}


def build_network(seed: int, words: list[str]) -> TinySdxl:
    """The parts in fp32 with random weights that depend on the seed alone; `words`: what are single tokens."""
    tokenizer, tokenizer_2 = build_tokenizer(words, END), build_tokenizer(words, "!")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = CLIPTextModel(text_config(tokenizer, TEXT_WIDTHS[0], heads=4, activation="quick_gelu"))
        second = CLIPTextModelWithProjection(text_config(tokenizer_2, TEXT_WIDTHS[1], heads=4, activation="gelu"))
        for encoder in (first, second):
            tokens: Any = encoder.get_input_embeddings()
            torch.nn.init.normal_(tokens.weight, std=TOKEN_STD)
        unet = UNet2DConditionModel(**UNET)
        vae = build_vae(RESOLUTION_PX)
    return TinySdxl(tokenizer, tokenizer_2, first, second, unet, vae, build_scheduler())


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
