"""SDXL's UNet at full size without memory: the configuration that Stability AI published, on the meta device."""

import torch
from diffusers import UNet2DConditionModel

SDXL_UNET = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def full_unet() -> UNet2DConditionModel:
    """SDXL's UNet, shapes only."""
    with torch.device("meta"):
        return UNet2DConditionModel(**SDXL_UNET)
