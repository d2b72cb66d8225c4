"""Sample images during training: the same prompts and start noise at every step, saved without loss."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from spritelora.sdxl.sample import Sampling, one_noise, sample_latents
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.names import image_name
from spritelora.training.callbacks.contact_sheet import contact_sheet
from spritelora.training.logs.run_log import RunLog
from spritelora.training.module import LoraModule

SAMPLES, SHEET = "samples", "contact_sheet.png"


@dataclass(frozen=True)
class SamplePlan:
    """The plan of sample images: prompts with their embeddings, and the settings of drawing.

    `references`: for each prompt a training image to show beside its samples, (H, W, 3). `sizes`: of each prompt's
    image in pixels, width before height. `decode`: images (8h, 8w, 3) of latents (4, h, w). `taught`: those of the
    prompts that are captions of training sprites.
    """

    prompts: Sequence[str]
    texts: Sequence[TextEmbedding]
    negative: TextEmbedding
    references: Sequence[NDArray[np.uint8]]
    sampling: Sampling
    seed: int
    sizes: Sequence[tuple[int, int]]
    decode: Callable[[Sequence[Tensor]], list[NDArray[np.uint8]]]
    batch_size: int
    taught: Collection[str] = ()

    def draw(self, module: LoraModule) -> list[NDArray[np.uint8]]:
        """One image for each prompt; those of one size are drawn together."""
        *texts, negative = module.embed([*self.texts, self.negative])
        latents: dict[int, Tensor] = {}
        for size in dict.fromkeys(self.sizes):
            alike = [number for number, own in enumerate(self.sizes) if own == size]
            for part in (alike[i : i + self.batch_size] for i in range(0, len(alike), self.batch_size)):
                noise = torch.stack([one_noise(self.seed, number, size) for number in part])
                chosen = [texts[number] for number in part]
                drawn = sample_latents(module.unet, self.sampling, chosen, negative, noise)
                latents.update(zip(part, drawn, strict=True))
        return self.decode([latents[number] for number in range(len(self.prompts))])


Images = list[NDArray[np.uint8]]


class Samples:
    """Draws the plan before the first step, every `every` steps and at the end.

    `remember`: how the images before the first step are come by, which are the base's, for a new adapter changes
    nothing: another run may have drawn them.
    """

    def __init__(
        self,
        run_log: RunLog,
        plan: SamplePlan,
        every: int,
        remember: Callable[[Callable[[], Images]], Images] = lambda draw: draw(),
    ) -> None:
        self.run_log, self.plan, self.every = run_log, plan, every
        self.remember = remember
        self.folder = run_log.run_dir / SAMPLES

    def has(self, step: int) -> bool:
        """Whether the images of a step are there."""
        return any(self._folder(step).glob("*.png"))

    def draw(self, module: LoraModule, step: int) -> None:
        """Draw the plan with the weights as they are, as images of a step."""
        images = self.remember(lambda: self._images(module)) if step == 0 else self._images(module)
        folder = self._folder(step)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / image_name(i, p) for i, p in enumerate(self.plan.prompts)]
        for image, file in zip(images, files, strict=True):
            Image.fromarray(image).save(file)
        sheet = contact_sheet(self.folder, self.plan.prompts, self.plan.references, self.plan.taught)
        sheet.save(self.folder / SHEET)
        self.run_log.log_images(step, self.plan.prompts, files)

    def _folder(self, step: int) -> Path:
        return self.folder / step_folder(step)

    def _images(self, module: LoraModule) -> Images:
        with module.as_result():
            return self.plan.draw(module)


def step_folder(step: int) -> str:
    """The folder of the images of a step."""
    return f"step_{step:06d}"
