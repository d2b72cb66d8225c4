"""The sprites that a run would train on, in words."""

from typing import NamedTuple

from spritelora.config.train.schema import TrainConfig
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.errors import SpriteLoraError
from spritelora.sprites.folder.sprite_folder import factors_text


class DataFacts(NamedTuple):
    """The sprites, how many images there are to encode, what to say of them, and what is wrong with them."""

    sprites: TrainingSet | None
    num_images: int
    words: str
    problem: str = ""


def read_data(config: TrainConfig) -> DataFacts:
    """The sprites that a run would train on, or what is wrong with them."""
    masked, model_path = config.objective.masked_loss, config.model.path
    try:
        found = read_training_set(config.data, config.model.side_px, masked, model_path=model_path)
    except (SpriteLoraError, OSError) as error:
        return DataFacts(None, 0, config.data.path or ", ".join(config.data.sets) or "the demo set", str(error))
    everything = [*found.training, *found.held_out, *found.regularisation]
    sizes = [f"{width} x {height}" for width, height in dict.fromkeys(sprite.fit.canvas for sprite in everything)]
    count = len(everything) + sum(len(viewed.views) - 1 for viewed in found.viewed)
    scale = f"one sprite pixel = {factors_text(found.training)} image pixels"
    size = f"of {sizes[0]} px" if len(sizes) == 1 else f"on {len(sizes)} canvases, the first of {sizes[0]} px"
    return DataFacts(found, count, f"{count} images {size}, {scale}, background {found.matte_text}")
