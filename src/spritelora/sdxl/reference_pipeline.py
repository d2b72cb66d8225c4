"""diffusers' own SDXL pipeline on models in memory: what ours is measured against."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from numpy.typing import NDArray
from torch import Tensor

from spritelora.sdxl.sample import Sampling
from spritelora.sdxl.text import TextEmbedding


def sdxl_scheduler() -> EulerDiscreteScheduler:
    """Euler's sampler over SDXL's noise schedule, as its scheduler_config.json says."""
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )


def plain_images(
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    sampling: Sampling,
    prompts: Sequence[TextEmbedding],
    negative: TextEmbedding,
    noise: Tensor,
) -> NDArray[np.float32]:
    """An image for each prompt as the pipeline draws it, (B, H, W, 3) in [0, 1]. `noise`: (B, 4, h, w)."""
    pipeline = StableDiffusionXLPipeline(vae, None, None, None, None, unet, sampling.scheduler)  # pyright: ignore
    pipeline.set_progress_bar_config(disable=True)
    height, width = (8 * sides for sides in noise.shape[-2:])

    def stack(texts: Sequence[TextEmbedding], part: str) -> Tensor:
        return torch.stack([getattr(t, part) for t in texts]).to(unet.device, unet.dtype)

    drawn = pipeline(  # pyright: ignore
        height=height,
        width=width,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.guidance,
        prompt_embeds=stack(prompts, "states"),
        pooled_prompt_embeds=stack(prompts, "pooled"),
        negative_prompt_embeds=stack([negative] * len(prompts), "states"),
        negative_pooled_prompt_embeds=stack([negative] * len(prompts), "pooled"),
        latents=noise.to(unet.device, unet.dtype),
        output_type="np",
        return_dict=False,
    )
    return drawn[0]
