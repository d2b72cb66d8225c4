"""Training state on disk without pickle: tensors as safetensors, all else as JSON, through Lightning's CheckpointIO."""

import json
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import CheckpointIO
from safetensors.torch import save_file
from torch import Tensor

from spritelora.errors import ResumeError, TrainingError, WeightsError
from spritelora.files import read_json, sync
from spritelora.weight_files.container import read_tensors

State = dict[str, Any]
"""A part of a training's state by name: tensors, plain values, lists, tuples and further parts."""
TENSORS, STRUCTURE = "state.safetensors", "state.json"


def split_tensors(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as plain JSON, its tensors moved to `tensors` under their paths.

    Raises TrainingError for anything that is neither tensor, number, text, list, tuple nor dictionary.
    """
    if isinstance(value, Tensor):
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"dict": [[k, split_tensors(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [split_tensors(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TrainingError(f"training state '{path}' is a {type(value).__name__}, which a state file cannot hold")


def join_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `split_tensors`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {k: join_tensors(v, tensors) for k, v in content}
    items = [join_tensors(v, tensors) for v in content]
    return tuple(items) if kind == "tuple" else items


def write_state(state: State, folder: Path) -> None:
    """Write a state into `folder`, synced to disk."""
    tensors: dict[str, Tensor] = {}
    structure = split_tensors(state, "", tensors)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / TENSORS)
    (folder / STRUCTURE).write_text(json.dumps(structure), encoding="utf-8")
    for name in (TENSORS, STRUCTURE):
        sync(folder / name)


def read_state(folder: Path) -> State:
    """Read a state back. Raises ResumeError where it is missing or damaged."""
    try:
        state = join_tensors(read_json(folder / STRUCTURE), read_tensors(folder / TENSORS))
        if not isinstance(state, dict):
            raise ValueError("not a dictionary")
        return state
    except (OSError, ValueError, LookupError, TypeError, AttributeError, WeightsError) as error:
        raise ResumeError(f"{folder}: damaged training state ({error}); resume from an earlier checkpoint") from error


class StateFiles(CheckpointIO):
    """Lightning's checkpoints as a folder of safetensors and JSON."""

    def save_checkpoint(self, checkpoint: State, path: str | Path, storage_options: Any = None) -> None:
        write_state(checkpoint, Path(path))

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> State:
        return read_state(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        raise NotImplementedError(f"checkpoints are kept: {path}")
