"""Prompts as text encoders give them that LoRAs change, at each strength; never cached, for the cache is of bases."""

import logging
from collections.abc import Mapping, Sequence

import torch

from spritelora.adapters.files.lora_file import LoraFile
from spritelora.adapters.layers.inject import changes_text, inject_loras, set_strength
from spritelora.data.encode import Encoder
from spritelora.sdxl.text import TextEmbedding, TextEncoders

log = logging.getLogger(__name__)

Strengths = tuple[float, ...]
"""Of each LoRA."""
Texts = Mapping[str, TextEmbedding]
"""By prompt."""


def embed_prompts(
    encoder: Encoder, loras: Sequence[LoraFile], settings: Sequence[Strengths], prompts: Sequence[str]
) -> dict[Strengths, Texts]:
    """The embedding of each prompt at all strengths: the base's own where no LoRA that changes text encoders is on.

    Raises WeightsError for a LoRA that does not fit the encoders.
    """
    plain = encoder.texts(prompts)
    of_text = [changes_text(lora) for lora in loras]
    adapted = [s for s in settings if any(is_text and x for is_text, x in zip(of_text, s, strict=True))]
    changed = _encode_adapted(encoder, loras, adapted, list(plain)) if adapted else {}
    return {strengths: changed.get(strengths, plain) for strengths in settings}


def _encode_adapted(
    encoder: Encoder, loras: Sequence[LoraFile], settings: Sequence[Strengths], prompts: Sequence[str]
) -> dict[Strengths, Texts]:
    encoders = TextEncoders(encoder.base, encoder.device, torch.float32)
    models = encoders.stack.parts
    names = [inject_loras(model, loras, encoder.base.name, part) for part, model in models.items()]
    log.info("encoding %d prompts anew at each strength, for the text encoders are changed too", len(prompts))
    found: dict[Strengths, Texts] = {}
    for strengths in settings:
        for model, adapters in zip(models.values(), names, strict=True):
            set_strength(model, adapters, strengths)
        found[strengths] = {prompt: encoders.encode(prompt) for prompt in prompts}
    return found
