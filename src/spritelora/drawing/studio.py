"""Drawing the same prompts from the same noise again and again with one UNet in memory, with LoRAs at strengths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.adapters.files.lora_file import LoraFile
from spritelora.adapters.layers.inject import inject_loras, set_strength
from spritelora.data.encode import Encoder
from spritelora.drawing.adapted_text import Strengths, Texts, embed_prompts
from spritelora.drawing.subject import Drawing
from spritelora.errors import TrainingError, first_line
from spritelora.process import choose_products
from spritelora.sdxl.files.base import BaseModel, Sampler, Unet, load_scheduler, load_unet, load_vae, read_prediction
from spritelora.sdxl.latents import decode_latents
from spritelora.sdxl.sample import sample_latents
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.pixels.image import Pixels
from spritelora.training.hardware import Hardware


@dataclass(frozen=True)
class Studio:
    """What draws: an image for each of `prompts`, the i-th from the i-th start noise, whatever the batch.

    `adapters`: names of the LoRAs on the UNet. `texts`: of the prompts and the negative one, by the LoRAs' strengths.
    `negative`: what guidance moves away from where that is not the negative prompt.
    """

    unet: Unet
    adapters: Sequence[str]
    scheduler: Sampler
    prompts: Sequence[str]
    texts: Mapping[Strengths, Texts]
    negative: TextEmbedding | None
    noise: Tensor
    drawing: Drawing
    hardware: Hardware
    batch_size: int
    decode: Callable[[Tensor], Sequence[Pixels]]

    def draw(self, strengths: Strengths, on_drawn: Callable[[int], object]) -> list[Pixels]:
        """One image for each prompt, (side, side, 3), with each LoRA at its strength. `on_drawn` hears of every batch.

        Raises TrainingError where memory does not last.
        """
        set_strength(self.unet, self.adapters, strengths)
        images: list[Pixels] = []
        for start in range(0, len(self.prompts), self.batch_size):
            try:
                drawn = self.decode(self._latents(self.texts[strengths], slice(start, start + self.batch_size)))
            except torch.cuda.OutOfMemoryError as error:
                raise TrainingError(
                    f"out of GPU memory ({first_line(error)}) at {self.batch_size} images at once; give a smaller "
                    f"batch_size, or a smaller model.resolution"
                ) from error
            images += drawn
            on_drawn(len(drawn))
        return images

    def _latents(self, texts: Texts, part: slice) -> Tensor:
        dtype = self.hardware.base_dtype
        with torch.autocast(self.hardware.device.type, dtype, dtype != torch.float32):
            return sample_latents(
                self.unet,
                self.scheduler,
                [texts[prompt] for prompt in self.prompts[part]],
                texts[self.drawing.negative_prompt] if self.negative is None else self.negative,
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
    loras: Sequence[LoraFile],
    settings: Sequence[Strengths],
    lay_under: Callable[[Unet], None],
) -> Studio:
    """Encode the prompts, then load UNet and autoencoder. `noise`: a start for each prompt, (B, 4, h, w).

    `settings`: all strengths of the LoRAs that will be drawn with. `lay_under`: makes the UNet what they are laid on.
    Raises WeightsError for a LoRA that does not fit.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    choose_products(base.config("unet"))
    texts = embed_prompts(encoder, loras, settings, [*prompts, drawing.negative_prompt])
    empty = texts[settings[0]][drawing.negative_prompt]
    zeros = TextEmbedding(torch.zeros_like(empty.states), torch.zeros_like(empty.pooled))
    unet = load_unet(base, hardware.base_dtype, hardware.device).eval()
    lay_under(unet)
    adapters = inject_loras(unet, loras, base.name)
    vae = load_vae(base, hardware.device)
    return Studio(
        unet=unet,
        adapters=adapters,
        scheduler=load_scheduler(base, read_prediction(base, drawing.prediction), drawing.zero_snr),
        prompts=prompts,
        texts=texts,
        negative=zeros if not drawing.negative_prompt and base.zeros_for_empty_prompt else None,
        noise=noise,
        drawing=drawing,
        hardware=hardware,
        batch_size=batch_size,
        decode=lambda latents: list(decode_latents(vae, latents)),
    )
