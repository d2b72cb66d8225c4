"""Image-to-text models of transformers: BLIP-2, BLIP, GIT, ViT-GPT2 and those one talks to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from spritelora.errors import WeightsError, first_line

log = logging.getLogger(__name__)

USUAL_SIDE_PX = 384
LARGEST_SIDE_PX = 768
QUESTION = "Describe this pixel art sprite in one short sentence: what it is, its colours, its pose."


@dataclass(frozen=True)
class Answer:
    """The question to a captioner: its prompt, the longest answer, and the number of answers it weighs (beams)."""

    prompt: str = ""
    max_tokens: int = 40
    num_beams: int = 3


class Captioner:
    """A model that says what images show, with its processor, on one device.

    `side_px`: the side of the square images that the model takes without resampling them.
    """

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, processor: Any, answer: Answer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.processor = processor
        self.answer = answer
        self.side_px = input_side_px(image_processor)

    @torch.no_grad()
    def describe(self, images: Sequence[Image.Image]) -> list[str]:
        """A caption of each image, without the prompt; one line each, empty where the model says nothing."""
        inputs = self._inputs(list(images)).to(self.model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        found = self.model.generate(
            **inputs, max_new_tokens=self.answer.max_tokens, num_beams=self.answer.num_beams, do_sample=False
        )
        texts = self.tokenizer.batch_decode(_without_start(found, inputs.get("input_ids")), skip_special_tokens=True)
        return [tidy(text, self.answer.prompt) for text in texts]

    def _inputs(self, images: list[Image.Image]) -> Any:
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": self.answer.prompt or QUESTION}]
            asked = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
            singles = [[image] for image in images]
            return self.processor(images=singles, text=[asked] * len(images), padding=True, return_tensors="pt")
        if not self.answer.prompt:
            return self.image_processor(images, return_tensors="pt")
        if self.processor is None:
            raise WeightsError("this captioner takes no prompt: leave prompt= out, or choose a captioner like BLIP-2")
        prompts = [self.answer.prompt] * len(images)
        return self.processor(images=images, text=prompts, padding=True, return_tensors="pt")


def load_captioner(folder: Path, device: torch.device, answer: Answer) -> Captioner:
    """Load a captioner from a folder; code of others and pickles never run.

    Raises WeightsError that names the folder where transformers finds no image-to-text model in it.
    """
    disable_progress_bar()
    dtype = _dtype_for(device)
    only: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **only)
        if not (hasattr(processor, "image_processor") and hasattr(processor, "tokenizer")):
            processor = None  # such as ViT-GPT2: a tokenizer and an image processor of their own
        tokenizer = processor.tokenizer if processor else AutoTokenizer.from_pretrained(folder, **only)
        images = processor.image_processor if processor else AutoImageProcessor.from_pretrained(folder, **only)
        model: Any = AutoModelForImageTextToText.from_pretrained(folder, use_safetensors=True, dtype=dtype, **only)
    except Exception as error:  # transformers raises many kinds
        raise WeightsError(
            f"captioner: {folder} cannot be loaded as an image-to-text model ({first_line(error)}); "
            f"fetch it again, or choose another, such as captioner=Salesforce/blip2-opt-2.7b"
        ) from error
    tokenizer.padding_side = "left"
    count = sum(p.numel() for p in model.parameters())
    log.info("captioner: %s, %.0f M parameters on %s in %s", type(model).__name__, count / 1e6, device, str(dtype)[6:])
    return Captioner(model.eval().to(device), tokenizer, images, processor, answer)


def input_side_px(image_processor: Any) -> int:
    """The side of a square image that an image processor passes on without resampling it."""
    for size in (getattr(image_processor, "crop_size", None), getattr(image_processor, "size", None)):
        for side in ("height", "shortest_edge"):
            value = (size or {}).get(side) if hasattr(size, "get") else None
            if isinstance(value, int) and value > 0:
                return min(value, LARGEST_SIDE_PX)
    return USUAL_SIDE_PX


def tidy(text: str, prompt: str) -> str:
    """An answer on one line, without the prompt that some models repeat and without a full stop."""
    line, asked = " ".join(text.split()), " ".join(prompt.split())
    if asked and line.casefold().startswith(asked.casefold()):
        line = line[len(asked) :]
    return line.strip(" .,")


def _without_start(found: Tensor, asked: Tensor | None) -> Tensor:
    length = 0 if asked is None else asked.shape[1]
    repeats = 0 < length < found.shape[1] and bool((found[:, :length] == asked).all())
    return found[:, length:] if repeats else found


def _dtype_for(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
