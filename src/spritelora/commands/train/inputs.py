"""The inputs of a run, in the words of its first line: the base and the sprites, each with where it comes from."""

from pathlib import Path

from spritelora.config.train.data_keys import DataConfig
from spritelora.config.train.schema import TrainConfig
from spritelora.sprites.names import printable


def inputs_line(config: TrainConfig) -> str:
    """The base by name and the folders of the training set."""
    return f"Base: {_base(config.model.path)}. Training set: {_sprites(config.data)}."


def _base(path: str | None) -> str:
    if path is None:
        return "tiny-sdxl, the embedded base (model.path is unset)"
    if not Path(path).exists():
        return f"{path}, from the Hugging Face hub"
    place = Path(path).resolve()
    return printable(f"{place.name} in {place.parent}")


def _sprites(data: DataConfig) -> str:
    if data.sets:
        return ", ".join(f"{name} from {printable(one.path)}" for name, one in data.sets.items())
    return "the demo set (data.path is unset)" if data.path is None else printable(data.path)
