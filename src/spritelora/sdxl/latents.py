"""Images to latents and back, through the autoencoder in fp32."""

from typing import Any, cast

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from spritelora.errors import WeightsError


def posterior_mean(vae: AutoencoderKL, image: Tensor) -> Tensor:
    """The unscaled latents (B, 4, H/8, W/8) of images (B, 3, H, W) in [-1, 1]."""
    return cast(Any, vae.encode(image)).latent_dist.mean


def decoded_image(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """The images (B, 3, 8h, 8w) of unscaled latents (B, 4, h, w)."""
    return cast(Any, vae).decode(latents).sample


def scaling_factor(vae: AutoencoderKL) -> float:
    """The factor that gives latents a deviation of about 1."""
    return cast(Any, vae.config).scaling_factor


@torch.no_grad()
def encode_image(vae: AutoencoderKL, image: NDArray[np.uint8], name: str) -> Tensor:
    """The scaled mean of the posterior of one image.

    `image`: (H, W, 3) RGB. Returns (4, H/8, W/8) fp32 on the CPU. Raises WeightsError naming the image where the
    autoencoder gives values that are not finite.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].to(vae.device, torch.float32) / 127.5 - 1
    with torch.autocast(vae.device.type, enabled=False):  # the SDXL VAE overflows fp16
        latents = posterior_mean(vae, pixels) * scaling_factor(vae)
    if not torch.isfinite(latents).all():
        raise WeightsError(f"{name}: the autoencoder gives values that are not finite; use an fp32 or fp16-fix VAE")
    return latents[0].float().cpu()


@torch.no_grad()
def finite_formats(vae: AutoencoderKL, side_px: int = 64) -> dict[str, bool]:
    """Whether an autoencoder in fp32 gives latents that are finite, in each number format; it is left in the last."""
    ramp = torch.linspace(-1, 1, side_px, device=vae.device)
    image = torch.stack([ramp.expand(side_px, -1), ramp.expand(side_px, -1).T, ramp.outer(ramp)])[None]
    found: dict[str, bool] = {}
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}.items():
        nn.Module.to(vae, dtype)  # diffusers' own warns that results change
        latents = posterior_mean(vae, image.to(dtype))
        found[name] = bool(torch.isfinite(latents).all())
    return found


def decode_latents(vae: AutoencoderKL, latents: Tensor) -> NDArray[np.uint8]:
    """Images of scaled latents, one at a time. `latents`: (B, 4, h, w). Returns (B, 8h, 8w, 3) RGB.

    Raises WeightsError where an image has values that are not finite.
    """
    return np.stack([decode_one(vae, each) for each in latents])


@torch.no_grad()
def decode_one(vae: AutoencoderKL, latents: Tensor) -> NDArray[np.uint8]:
    """The image of scaled latents (4, h, w): (8h, 8w, 3) RGB. Raises WeightsError as `decode_latents`."""
    with torch.autocast(vae.device.type, enabled=False):  # the SDXL VAE overflows fp16
        decoded = decoded_image(vae, latents[None].to(vae.device).float() / scaling_factor(vae))[0]
    if not torch.isfinite(decoded).all():
        raise WeightsError("a sample image has values that are not finite: the UNet or the autoencoder overflows")
    return ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def round_trip(vae: AutoencoderKL, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) encoded and decoded. Raises WeightsError for values that are not finite."""
    return decode_latents(vae, encode_image(vae, image, "an image")[None])[0]


def time_ids(height_px: int, width_px: int) -> Tensor:
    """SDXL's size conditioning of an image that was neither resized nor cropped, (6,) fp32.

    Order: original height and width, crop top and left, target height and width.
    """
    return torch.tensor([height_px, width_px, 0, 0, height_px, width_px], dtype=torch.float32)
