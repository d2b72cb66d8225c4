"""Drawing the same prompts from the same noise again and again with one UNet in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.data.encode import Encoder
from spritelora.errors import TrainingError, first_line
from spritelora.sdxl.base import BaseModel, Sampler, Unet, load_scheduler, load_unet, load_vae, read_prediction
from spritelora.sdxl.latents import decode_latents
from spritelora.sdxl.sample import sample_latents
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.image import Pixels
from spritelora.tasks.drawing import Drawing
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
        """One image for each prompt, (side, side, 3). `on_drawn` hears of every batch.

        Raises TrainingError where memory does not last.
        """
        images: list[Pixels] = []
        for start in range(0, len(self.texts), self.batch_size):
            try:
                drawn = self.decode(self._latents(slice(start, start + self.batch_size)))
            except torch.cuda.OutOfMemoryError as error:
                raise TrainingError(
                    f"out of GPU memory ({first_line(error)}) at {self.batch_size} images at once; give a smaller "
                    f"batch_size, or a smaller model.resolution"
                ) from error
            images += drawn
            on_drawn(len(drawn))
        return images

    def _latents(self, part: slice) -> Tensor:
        dtype = self.hardware.base_dtype
        with torch.autocast(self.hardware.device.type, dtype, dtype != torch.float32):
            return sample_latents(
                self.unet,
                self.scheduler,
                self.texts[part],
                self.negative,
                self.noise[part],
                self.drawing.steps,
                self.drawing.guidance,
            )


def open_studio(
    drawing: Drawing,
    base: BaseModel,
    encoder: Encoder,
    prompts: Sequence[str],
    noise: Tensor,
    hardware: Hardware,
    batch_size: int,
    threads: int | None,
) -> Studio:
    """Encode the prompts, then load UNet and autoencoder. `noise`: a start for each prompt, (B, 4, h, w)."""
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
        noise=noise,
        drawing=drawing,
        hardware=hardware,
        batch_size=batch_size,
        decode=lambda latents: list(decode_latents(vae, latents)),
    )
