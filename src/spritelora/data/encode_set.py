"""Everything that a run takes from the frozen encoders: its sprites, their texts, and the prompts of its samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spritelora.config.train.schema import SamplerConfig
from spritelora.data.augment import Variant
from spritelora.data.encode import Encoder, Picture
from spritelora.data.encoded import ALL_CELLS, EncodedSet, EncodedSprite, EncodedView
from spritelora.data.training_set import TrainingSet
from spritelora.data.views import View, ViewedSprite
from spritelora.sdxl.text import TextEmbedding, unconditional


@dataclass(frozen=True)
class Encoded:
    """All that comes out of the frozen encoders."""

    training: EncodedSet
    held_out: EncodedSet
    prompts: list[TextEmbedding]
    negative: TextEmbedding


def encode_all(encoder: Encoder, sprites: TrainingSet, sampler: SamplerConfig, trains_text: bool = False) -> Encoded:
    """Encode sprites, captions and sample prompts; what the cache holds is not computed again.

    `trains_text`: texts are token ids, for the encoders are not frozen.
    """
    held_out = [ViewedSprite(s, [View(Variant(), [s.caption])]) for s in sprites.held_out]
    everything = [*sprites.viewed, *held_out, *sprites.kept]
    views = [view for viewed in everything for view in viewed.views]
    captions = [caption for view in views for caption in view.captions]
    texts = (encoder.tokens if trains_text else encoder.texts)(
        [*captions, *sampler.prompts, sampler.negative_prompt, ""]
    )
    latents = encoder.latents([Picture(v.sprite, view.variant) for v in everything for view in v.views], sprites.matte)
    encoded = _encoded(everything, iter(latents), texts)
    num_known = len(sprites.viewed) + len(held_out)
    kept = [replace(image, name=f"regularisation: {image.name}") for image in encoded[num_known:]]
    nothing = unconditional(encoder.base, texts[""])
    return Encoded(
        EncodedSet(encoded[: len(sprites.viewed)], kept, sprites.every, nothing),
        EncodedSet(encoded[len(sprites.viewed) : num_known]),
        [texts[prompt] for prompt in sampler.prompts],
        texts[sampler.negative_prompt] if sampler.negative_prompt else nothing,
    )


def _encoded(
    sprites: Sequence[ViewedSprite], latents: Iterator[Tensor], texts: Mapping[str, TextEmbedding]
) -> list[EncodedSprite]:
    """The sprites with the latents of their views, which come in the same order."""

    def encoded(view: View) -> EncodedView:
        mask = ALL_CELLS if view.mask is None else torch.from_numpy(view.mask)[None]
        return EncodedView(next(latents), [texts[caption] for caption in view.captions], mask)

    return [
        EncodedSprite(
            s.sprite.name, [encoded(view) for view in s.views], s.sprite.repeats, s.sprite.weight, s.sprite.subject
        )
        for s in sprites
    ]
