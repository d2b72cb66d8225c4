"""The agreement of images with their prompts, by a CLIP model of the user's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from spritelora.errors import SpriteLoraError, WeightsError, first_line
from spritelora.files import is_hub_id
from spritelora.sprites.pixels.image import Pixels, scale_nearest

log = logging.getLogger(__name__)

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own. Source: Radford et al. 2021, the published preprocessing of openai/CLIP."""


@dataclass(frozen=True)
class ClipScorer:
    """A CLIP model with its tokenizer, on one device."""

    model: Any
    tokenizer: Any
    device: torch.device

    @property
    def side_px(self) -> int:
        """The size of the square that the model sees."""
        return int(self.model.config.vision_config.image_size)

    @torch.no_grad()
    def score(self, images: Sequence[Pixels], prompts: Sequence[str], batch_size: int = 16) -> NDArray[np.float64]:
        """100 times the cosine of each image (H, W, 3) and its own prompt in CLIP's space, (N,), -100 to 100.

        Prompts that are longer than the model reads are named in a warning. Source: Hessel et al. 2021, CLIPScore,
        arXiv:2104.08718, without its clipping at 0. Raises SpriteLoraError where images and prompts differ in number.
        """
        if len(images) != len(prompts):
            raise SpriteLoraError(f"prompt adherence: {len(images)} images but {len(prompts)} prompts; one for each")
        parts = [slice(start, start + batch_size) for start in range(0, len(images), batch_size)]
        scores = [self._score_batch(images[part], prompts[part]) for part in parts]
        return torch.cat(scores).double().cpu().numpy() if scores else np.empty(0)

    def _score_batch(self, images: Sequence[Pixels], prompts: Sequence[str]) -> Tensor:
        pixels = torch.stack([clip_pixels(image, self.side_px) for image in images])
        tokens = self.tokenizer(self._read(prompts), padding=True, truncation=True, return_tensors="pt")
        seen = self.model(
            pixel_values=pixels.to(self.device),
            input_ids=tokens["input_ids"].to(self.device),
            attention_mask=tokens["attention_mask"].to(self.device),
        )
        return 100 * torch.cosine_similarity(seen.image_embeds, seen.text_embeds)

    def _read(self, prompts: Sequence[str]) -> list[str]:
        longest = self.tokenizer.model_max_length
        for prompt in prompts:
            if (count := len(self.tokenizer(prompt)["input_ids"])) > longest:
                log.warning("prompt of %d tokens, CLIP reads %d: '%s...' loses its end", count, longest, prompt[:40])
        return list(prompts)


def clip_pixels(image: Pixels, side_px: int) -> Tensor:
    """An image (H, W, 3) as CLIP takes it: (3, side_px, side_px).

    A smaller image is first enlarged by a whole factor, so that CLIP sees square pixels, not a blur; then CLIP's own
    bicubic resize and centre crop.
    """
    factor = -(-side_px // min(image.shape[:2]))
    square = ImageOps.fit(Image.fromarray(scale_nearest(image, factor)), (side_px, side_px), Image.Resampling.BICUBIC)
    values = (np.asarray(square, np.float32) / 255 - PIXEL_MEAN) / PIXEL_STD
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)


def load_clip(path: str, device: torch.device) -> ClipScorer:
    """The CLIP model in a folder or at a hub id, from safetensors files only.

    Raises WeightsError that names the path where it cannot be had.
    """
    from transformers import CLIPModel, CLIPTokenizer

    folder = Path(path)
    if not folder.is_dir() and not is_hub_id(path):
        raise WeightsError(f"clip={path}: no such folder; give a folder of a CLIP model or a hub id")
    source = str(folder) if folder.is_dir() else path
    try:
        model: Any = CLIPModel.from_pretrained(source, use_safetensors=True)
        tokenizer = CLIPTokenizer.from_pretrained(source)
    except Exception as error:  # the hub client raises many kinds, from HTTP libraries too
        raise WeightsError(
            f"clip={path}: no CLIP model in safetensors form can be loaded ({first_line(error)}); "
            f"give a folder that has config.json, model.safetensors and the tokenizer's files"
        ) from error
    return ClipScorer(model.float().eval().requires_grad_(False).to(device), tokenizer, device)
