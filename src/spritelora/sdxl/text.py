"""Prompts as SDXL's UNet takes them: both encoders' second-to-last states, and the second's pooled projection."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from spritelora.files import JsonObject
from spritelora.sdxl.files.base import TOKENIZERS, BaseModel

KINDS = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}

NO_TOKEN = -1
"""Fills the tokens of what stands for no prompt: it is encoded to zeros."""


@dataclass(frozen=True)
class TextEmbedding:
    """One prompt: `states` (77, D1 + D2) and `pooled` (D2).

    Where the encoders are trained these are empty, and `tokens` (2, 77) for both encoders stand for them.
    """

    states: Tensor
    pooled: Tensor
    tokens: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))


class TextStack(nn.Module):
    """SDXL's two text encoders as one module."""

    def __init__(self, text_encoder: nn.Module, text_encoder_2: nn.Module) -> None:
        super().__init__()
        self.text_encoder, self.text_encoder_2 = text_encoder, text_encoder_2

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The encoders by their names in a diffusers model."""
        return {"text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2}

    def enable_gradient_checkpointing(self, **how: Any) -> None:
        """Compute activations again in the backward pass rather than keep them. `how`: of torch's `checkpoint`."""
        for encoder in self.parts.values():
            cast(PreTrainedModel, encoder).gradient_checkpointing_enable({"use_reentrant": False, **how})

    def disable_gradient_checkpointing(self) -> None:
        """Keep activations again."""
        for encoder in self.parts.values():
            cast(PreTrainedModel, encoder).gradient_checkpointing_disable()

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, 77, D1 + D2) and pooled (B, D2) of token ids (B, 2, 77)."""
        ids, is_nothing = tokens.clamp(min=0), (tokens == NO_TOKEN).flatten(1).all(dim=1)
        first = self.text_encoder(ids[:, 0], output_hidden_states=True)
        second = self.text_encoder_2(ids[:, 1], output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return states.masked_fill(is_nothing[:, None, None], 0), second.text_embeds.masked_fill(is_nothing[:, None], 0)

    @torch.no_grad()
    def encode(self, tokens: Tensor) -> TextEmbedding:
        """Encode one prompt (2, 77) alone, so that its numbers do not depend on its neighbours; fp32 on the CPU."""
        states, pooled = self(tokens[None].to(next(self.parameters()).device))
        return TextEmbedding(states[0].float().cpu(), pooled[0].float().cpu())


class TextEncoders:
    """SDXL's two tokenizers and encoders, frozen, on one device."""

    def __init__(self, base: BaseModel, device: torch.device, dtype: torch.dtype) -> None:
        self.tokenizers = load_tokenizers(base)
        self.stack = load_text_stack(base, dtype).to(device)

    def encode(self, prompt: str) -> TextEmbedding:
        """Encode one prompt alone."""
        return self.stack.encode(token_ids(self.tokenizers, prompt))


def load_text_stack(base: BaseModel, dtype: torch.dtype) -> TextStack:
    """Both encoders on the CPU, frozen. Raises WeightsError that names the file where one cannot be loaded."""
    disable_progress_bar()
    return TextStack(*(base.part(part).load(kind, dtype).eval().requires_grad_(False) for part, kind in KINDS.items()))


def empty_text_stack(base: BaseModel) -> TextStack:
    """The structure of both encoders without numbers: every weight has its shape and no memory."""
    return text_shapes_of([base.config(part) for part in KINDS])


def text_shapes_of(configs: Sequence[JsonObject]) -> TextStack:
    """The encoders of two configurations on the meta device, frozen."""
    with torch.device("meta"):
        parts = (kind(CLIPTextConfig(**config)) for kind, config in zip(KINDS.values(), configs, strict=True))
        return TextStack(*(part.requires_grad_(False) for part in parts))


def token_ids(tokenizers: Sequence[CLIPTokenizer], prompt: str) -> Tensor:
    """The ids of a prompt for each of the tokenizers, (2, 77)."""
    options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    return torch.cat([t(prompt, max_length=t.model_max_length, **options).input_ids for t in tokenizers])


def load_tokenizers(base: BaseModel) -> list[CLIPTokenizer]:
    """Both tokenizers of the model."""
    return [base.part(part).load(CLIPTokenizer) for part in TOKENIZERS]


def cut_text(tokenizer: CLIPTokenizer, prompt: str) -> str:
    """The end of a prompt that does not fit the tokenizer's length; empty where all fits."""
    ids = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return str(tokenizer.decode(ids[tokenizer.model_max_length - 2 :])).strip()


def unconditional(base: BaseModel, empty: TextEmbedding) -> TextEmbedding:
    """What guidance moves away from: zeros or the empty prompt `empty`, whichever the base was trained with.

    SDXL's own training dropped captions by setting their embedding to zeros, which is what its model_index.json says
    with `force_zeros_for_empty_prompt`. Captions dropped in training become the same, so that a LoRA learns its style
    on the branch that the sampler subtracts, and not on another one.
    """
    if not base.zeros_for_empty_prompt:
        return empty
    nothing = torch.full_like(empty.tokens, NO_TOKEN)
    return TextEmbedding(torch.zeros_like(empty.states), torch.zeros_like(empty.pooled), nothing)
