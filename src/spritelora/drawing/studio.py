"""Drawing the same prompts from the same noise again and again with one UNet in memory, with LoRAs at strengths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.adapters.layers.earlier_files import file_hash
from spritelora.adapters.layers.inject import inject_loras, set_strength
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.drawing.adapted_text import Strengths, Texts, embed_prompts
from spritelora.drawing.kept_images import KeptImages
from spritelora.drawing.subject import Subject
from spritelora.errors import TrainingError, first_line
from spritelora.long_work import Progress
from spritelora.process import choose_products
from spritelora.sdxl.files.base import Unet, file_states, load_unet, load_vae
from spritelora.sdxl.latents import decode_latents
from spritelora.sdxl.sample import Sampling, sample_latents, start_noise
from spritelora.sdxl.text import unconditional
from spritelora.sprites.pixels.image import Pixels
from spritelora.training.hardware import Hardware


@dataclass(frozen=True)
class Studio:
    """A subject in memory: draws an image for each of `prompts`, the i-th from the i-th start noise.

    `adapters`: names of the LoRAs on the UNet. `texts`: of the prompts and the negative one, by the LoRAs' strengths.
    """

    subject: Subject
    hardware: Hardware
    unet: Unet
    adapters: Sequence[str]
    sampling: Sampling
    prompts: Sequence[str]
    texts: Mapping[Strengths, Texts]
    noise: Tensor
    decode: Callable[[Tensor], Sequence[Pixels]]

    @property
    def identity(self) -> dict[str, object]:
        """Everything that an image depends on but its strength, as JSON can hold it."""
        source = self.subject.source
        return {
            "base": file_states(self.subject.base),
            "loras": [file_hash(lora.path) for lora in self.subject.loras],
            "weights": self.subject.weights,
            "over": source.record.earlier if source.record and source.is_own else {},
            "drawing": repr(self.subject.drawing),
            "hardware": f"{self.hardware.name}, {self.hardware.precision.value}",
            "prompts": list(self.prompts),
            "noise": len(self.noise) // len(self.prompts),
        }

    def draw(self, strength: float, batch_size: int, kept: KeptImages, progress: Progress) -> list[Pixels]:
        """One image for each prompt, (H, W, 3), whatever the batch; those that are kept are not drawn again.

        Raises TrainingError where memory does not last.
        """
        strengths = self.subject.strengths(strength)
        set_strength(self.unet, self.adapters, strengths)
        images = kept.images(strength, len(self.prompts))
        progress.skip(len(images))
        for start in range(len(images), len(self.prompts), batch_size):
            part = slice(start, start + batch_size)
            share = len(self.prompts[part]) / self.sampling.steps
            try:
                drawn = self.decode(
                    self._latents(self.texts[strengths], part, lambda share=share: progress.advance(share))
                )
            except torch.cuda.OutOfMemoryError as error:
                raise TrainingError(
                    f"out of GPU memory ({first_line(error)}) at {batch_size} images at once; give a smaller "
                    f"batch_size, or a smaller model.resolution"
                ) from error
            kept.keep(strength, start, drawn)
            images += drawn
        return images

    def _latents(self, texts: Texts, part: slice, on_step: Callable[[], object]) -> Tensor:
        drawing, dtype = self.subject.drawing, self.hardware.base_dtype
        negative = texts[drawing.negative_prompt]
        with torch.autocast(self.hardware.device.type, dtype, dtype != torch.float32):
            return sample_latents(
                self.unet,
                self.sampling,
                [texts[prompt] for prompt in self.prompts[part]],
                negative if drawing.negative_prompt else unconditional(self.subject.base, negative),
                self.noise[part],
                on_step,
            )


def open_studio(
    subject: Subject,
    prompts: Sequence[str],
    num_noises: int,
    strengths: Sequence[float],
    hardware: Hardware,
    cache: Cache,
) -> Studio:
    """Encode the prompts, then load UNet and autoencoder.

    `num_noises`: how many start noises there are, which the prompts take in turn. `strengths`: all that will be drawn
    with. Raises WeightsError for a LoRA that does not fit.
    """
    base, drawing = subject.base, subject.drawing
    choose_products(base.config("unet"))
    settings = [subject.strengths(strength) for strength in strengths]
    encoder = Encoder(base, cache, hardware.device)
    texts = embed_prompts(encoder, subject.loras, settings, [*prompts, drawing.negative_prompt])
    unet = load_unet(base, hardware.base_dtype, hardware.device).eval()
    subject.lay_earlier(unet)
    adapters = inject_loras(unet, subject.loras, base.name)
    vae = load_vae(base, hardware.device)
    noise = start_noise(drawing.seed, num_noises, *drawing.size)
    return Studio(
        subject=subject,
        hardware=hardware,
        unet=unet,
        adapters=adapters,
        sampling=drawing.sampling(base),
        prompts=prompts,
        texts=texts,
        noise=noise.repeat(len(prompts) // num_noises, 1, 1, 1),
        decode=lambda latents: list(decode_latents(vae, latents)),
    )
