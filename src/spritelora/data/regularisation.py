"""Images that keep the base as it is, among the sprites that are trained on."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spritelora.data.batch import EncodedSet
from spritelora.data.training_set import TrainingSet
from spritelora.sdxl.text import TextEmbedding


def add_regularisation(
    training: EncodedSet, sprites: TrainingSet, latents: Sequence[Tensor], texts: Sequence[TextEmbedding]
) -> EncodedSet:
    """The set with the regularisation images on its last places; as it is where there are none.

    They have no variants and one order of their captions. `latents`, `texts`: of each of them.
    """
    images = sprites.regularisation
    if not images:
        return training
    masks = [[torch.from_numpy(m)[None] for m in of_image] for of_image in sprites.regularisation_masks]
    return replace(
        training,
        names=[*training.names, *(f"regularisation: {s.name}" for s in images)],
        latents=[*training.latents, *latents],
        texts=[*training.texts, *texts],
        more=[*training.more, *[()] * len(images)],
        masks=[*training.masks, *masks],
        orders=[*training.orders, *[[[]]] * len(images)] if training.orders else (),
        weights=[*training.weights, *(s.weight for s in images)],
        regularising=[s.repeats for s in images],
        every=sprites.every,
    )
