"""SDXL at full size, as Stability AI published it: without memory, or with random weights."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from spritelora.files import JsonObject

T = TypeVar("T", bound=nn.Module)

SDXL_UNET: JsonObject = {
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

SDXL_VAE: JsonObject = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}

SDXL_TEXT: JsonObject = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 1,
}

SDXL_TEXT_2: JsonObject = {
    **SDXL_TEXT,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}

SDXL_UNET_WEIGHTS = 2_567_463_684

SDXL_SCHEDULER: JsonObject = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "interpolation_type": "linear",
    "use_karras_sigmas": False,
    "timestep_spacing": "leading",
    "steps_offset": 1,
}


def full_unet() -> UNet2DConditionModel:
    """SDXL's UNet, shapes only."""
    return shapes_of(SDXL_UNET)


def shapes_of(config: Mapping[str, Any]) -> UNet2DConditionModel:
    """The UNet of a configuration on the meta device."""
    with torch.device("meta"):
        return UNet2DConditionModel(**{k: v for k, v in config.items() if not k.startswith("_")})


def vae_shapes_of(config: Mapping[str, Any]) -> AutoencoderKL:
    """The autoencoder of a configuration on the meta device."""
    with torch.device("meta"):
        return AutoencoderKL(**{k: v for k, v in config.items() if not k.startswith("_")})


@torch.no_grad()
def random_unet(config: JsonObject, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    """A frozen UNet of a configuration whose random weights keep activations finite; made in `dtype`, once."""
    return randomise(shapes_of(config).to(dtype).to_empty(device=device))  # pyright: ignore


@torch.no_grad()
def random_vae(device: torch.device) -> AutoencoderKL:
    """SDXL's autoencoder at full size with random weights, in fp32, frozen."""
    with torch.device("meta"):
        vae = AutoencoderKL(**SDXL_VAE)
    return randomise(vae.to_empty(device=device))


def randomise(model: T) -> T:
    """Fill a model in place: scaled normal matrices, biases 0, norms the identity."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            source = torch.Generator(parameter.device).manual_seed(parameter.numel())
            parameter.normal_(0, parameter[0].numel() ** -0.5, generator=source)
        else:
            parameter.zero_()
    for module in model.modules():
        if isinstance(module, nn.GroupNorm | nn.LayerNorm):
            module.weight.fill_(1)
    return model.requires_grad_(False).eval()
