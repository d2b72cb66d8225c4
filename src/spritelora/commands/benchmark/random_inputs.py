"""Random sprites and captions in the shapes that a UNet takes, the same in every process."""

from typing import Any

import torch

from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.diffusion.draws import generator
from spritelora.sdxl.text import TextEmbedding

NUM_SPRITES = 64


def random_set(unet_config: dict[str, Any], side_px: int) -> EncodedSet:
    """Random sprites and captions in the shapes that a UNet takes."""
    text, side = random_text(unet_config, 0), side_px // 8
    latents = [torch.randn((4, side, side), generator=generator(0, "benchmark", i)) for i in range(NUM_SPRITES)]
    return EncodedSet([EncodedSprite(str(i), [EncodedView(z, [text])]) for i, z in enumerate(latents)])


def random_text(unet_config: dict[str, Any], number: int) -> TextEmbedding:
    """A random prompt embedding of the widths that a UNet takes."""
    pooled_width = unet_config["projection_class_embeddings_input_dim"] - 6 * unet_config["addition_time_embed_dim"]
    source = generator(0, "benchmark text", number)
    states = torch.randn((77, unet_config["cross_attention_dim"]), generator=source)
    return TextEmbedding(states, torch.randn(pooled_width, generator=source))
