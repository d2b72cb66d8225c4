"""The metadata of a LoRA on several data sets and on regularisation, under kohya's names."""

import json
from pathlib import Path

from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import TrainingSet


def data_facts(config: DataConfig, sprites: TrainingSet) -> dict[str, object]:
    """The sets with their repeats and counts, and the images that regularise; nothing where there are neither."""
    told: dict[str, object] = {}
    if config.sets:
        told["dataset_dirs"] = json.dumps({
            name: {
                "n_repeats": of_set.repeats,
                "img_count": sum(s.name.startswith(f"{name}/") for s in sprites.training),
                "weight": of_set.weight,
            }
            for name, of_set in config.sets.items()
        })  # fmt: skip
    if config.regularisation.path is not None:
        images, folder = sprites.regularisation, Path(config.regularisation.path).resolve().name
        told["num_reg_images"] = len(images)
        told["prior_loss_weight"] = config.regularisation.weight
        told["reg_dataset_dirs"] = json.dumps({folder: {"n_repeats": 1, "img_count": len(images)}})
    return told
