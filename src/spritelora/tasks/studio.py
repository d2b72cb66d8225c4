"""Drawing the same prompts from the same noise again and again with one UNet in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.data.encode import Encoder
from spritelora.sdxl.base import BaseModel, Sampler, Unet, load_scheduler, load_unet, load_vae, read_prediction
from spritelora.sdxl.latents import decode_latents
from spritelora.sdxl.sample import sample_latents, start_noise
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.image import Pixels
from spritelora.tasks.validate_settings import Drawing
from spritelora.training.hardware import Hardware


@dataclass(frozen=True)
class Studio:
    """What draws: an image for each of `texts`, the i-th from the i-th start noise, whatever the batch."""

    unet: Unet
    scheduler: Sampler
    texts: Sequence[TextEmbedding]
    negative: TextEmbedding
    noise: Tensor
    drawing: Drawing
    hardware: Hardware
    batch_size: int
    decode: Callable[[Tensor], Sequence[Pixels]]

    def draw(self, on_drawn: Callable[[int], object]) -> list[Pixels]:
        """One image for each prompt, (side, side, 3). `on_drawn` hears of every batch."""
        images: list[Pixels] = []
        dtype = self.hardware.base_dtype
        for start in range(0, len(self.texts), self.batch_size):
            part = slice(start, start + self.batch_size)
            with torch.autocast(self.hardware.device.type, dtype, dtype != torch.float32):
                latents = sample_latents(
                    self.unet,
                    self.scheduler,
                    self.texts[part],
                    self.negative,
                    self.noise[part],
                    self.drawing.steps,
                    self.drawing.guidance,
                )
            images += self.decode(latents)
            on_drawn(len(latents))
        return images


def open_studio(
    drawing: Drawing,
    base: BaseModel,
    encoder: Encoder,
    prompts: Sequence[str],
    hardware: Hardware,
    batch_size: int,
    threads: int | None,
) -> Studio:
    """Encode the prompts, then load UNet and autoencoder."""
    if threads is not None:
        torch.set_num_threads(threads)
    texts = encoder.texts([*prompts, drawing.negative_prompt])
    negative = texts[drawing.negative_prompt]
    if not drawing.negative_prompt and base.zeros_for_empty_prompt:
        negative = TextEmbedding(torch.zeros_like(negative.states), torch.zeros_like(negative.pooled))
    unet = load_unet(base, hardware.base_dtype).eval().to(hardware.device)  # pyright: ignore
    vae = load_vae(base, hardware.device)
    return Studio(
        unet=unet,
        scheduler=load_scheduler(base, read_prediction(base, drawing.prediction), drawing.zero_snr),
        texts=[texts[p] for p in prompts],
        negative=negative,
        noise=start_noise(drawing.seed, len(prompts), drawing.side_px),
        drawing=drawing,
        hardware=hardware,
        batch_size=batch_size,
        decode=lambda latents: list(decode_latents(vae, latents)),
    )
