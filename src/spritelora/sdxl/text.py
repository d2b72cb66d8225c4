"""Prompts as SDXL's UNet takes them: both encoders' second-to-last states, and the second's pooled projection."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from spritelora.sdxl.base import TOKENIZERS, BaseModel


@dataclass(frozen=True)
class TextEmbedding:
    """One prompt: `states` (77, D1 + D2) and `pooled` (D2)."""

    states: Tensor
    pooled: Tensor


class TextEncoders:
    """SDXL's two tokenizers and encoders, on one device."""

    def __init__(self, base: BaseModel, device: torch.device, dtype: torch.dtype) -> None:
        disable_progress_bar()
        self.tokenizers = load_tokenizers(base)
        kinds = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
        self.encoders = [
            base.part(part).load(kind, dtype).eval().requires_grad_(False).to(device) for part, kind in kinds.items()
        ]
        self.device = device

    @torch.no_grad()
    def encode(self, prompt: str) -> TextEmbedding:
        """Encode one prompt alone, so that its numbers do not depend on its neighbours. Returns fp32 on the CPU."""
        outputs = [
            encoder(self._token_ids(tokenizer, prompt), output_hidden_states=True)
            for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True)
        ]
        states = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return TextEmbedding(states[0].float().cpu(), outputs[1].text_embeds[0].float().cpu())

    def _token_ids(self, tokenizer: CLIPTokenizer, prompt: str) -> Tensor:
        length = tokenizer.model_max_length
        tokens = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return tokens.input_ids.to(self.device)


def load_tokenizers(base: BaseModel) -> list[CLIPTokenizer]:
    """Both tokenizers of the model."""
    return [base.part(part).load(CLIPTokenizer) for part in TOKENIZERS]


def cut_text(tokenizer: CLIPTokenizer, prompt: str) -> str:
    """The end of a prompt that does not fit the tokenizer's length; empty where all fits."""
    ids = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return str(tokenizer.decode(ids[tokenizer.model_max_length - 2 :])).strip()
