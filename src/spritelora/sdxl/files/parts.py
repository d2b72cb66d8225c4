"""A part of a base model in a folder of its own, as diffusers writes it; other modules have parts from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from torch import Tensor

from spritelora import limits
from spritelora.errors import WeightsError, first_line
from spritelora.files import JsonObject
from spritelora.weight_files.container import check_settings, open_tensors, stand_in

MOST_TIMESTEPS = 100_000
STEMS = ("diffusion_pytorch_model", "model")


class Part(Protocol):
    """One part of a base model: what it is made of, and how it is loaded."""

    def config(self) -> JsonObject:
        """Its configuration, as diffusers or transformers name the settings."""
        ...

    def weights(self) -> Path:
        """The file (or the index of several) that its weights are read from."""
        ...

    def sources(self) -> Mapping[str, Path]:
        """The files that decide what it computes, by a label that does not depend on where they are."""
        ...

    def tensors(self) -> Mapping[str, Tensor]:
        """Its weights by the name diffusers gives them, mapped from the file rather than read."""
        ...

    def load(self, kind: Any, dtype: torch.dtype | None = None) -> Any:
        """An object of a class of diffusers or transformers, on the CPU."""
        ...


@dataclass(frozen=True)
class FileTensors(Mapping[str, Tensor]):
    """Tensors by name, each mapped from its file when it is asked for and for as long as it is held.

    So whoever copies them one after the other holds one of them twice at a time, and not the whole file.
    """

    files: Mapping[str, Path]

    def __getitem__(self, name: str) -> Tensor:
        with open_tensors(self.files[name]) as opened:
            return opened.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def _names(file: Path) -> list[str]:
    with open_tensors(file) as opened:
        return list(opened.keys())


@dataclass(frozen=True)
class FolderPart:
    """A folder with a configuration and, for models, safetensors weights."""

    folder: Path

    def config(self) -> JsonObject:
        if self.folder.name != "scheduler":
            return read_json(self.folder / "config.json")
        file = self.folder / "scheduler_config.json"
        config = read_json(file)
        check_schedule(file, config)
        return config

    def weights(self) -> Path:
        """Raises WeightsError where there are none, or none in safetensors."""
        for stem in STEMS:
            for ending in (f"{stem}.safetensors", f"{stem}.safetensors.index.json", f"{stem}.fp16.safetensors"):
                if (file := self.folder / ending).is_file():
                    return file
        raise WeightsError(
            f"{self.folder}: no {' or '.join(STEMS)}.safetensors; weights are read from safetensors files only: "
            f"save the model again with safe_serialization=True"
        )

    def sources(self) -> Mapping[str, Path]:
        files = sorted(p for p in self.folder.iterdir() if p.is_file())
        wanted = {f for f in files if f.suffix in (".json", ".txt")}
        if self._has_weights():
            weights = self.weights()
            shards = [f for f in files if f.suffix == ".safetensors"] if weights.suffix == ".json" else [weights]
            wanted = {self.folder / "config.json", *shards}
        return {file.name: file for file in sorted(wanted)}

    def check(self) -> None:
        """Raise WeightsError, naming what it is instead, for a file of weights that is not whole safetensors."""
        for file in self._weight_files():
            with open_tensors(file):
                pass

    def tensors(self) -> Mapping[str, Tensor]:
        return FileTensors({name: file for file in self._weight_files() for name in _names(file)})

    def _weight_files(self) -> list[Path]:
        """The file of weights, or those that the index of several names."""
        weights = self.weights()
        if weights.suffix != ".json":
            return [weights]
        try:
            return sorted({weights.parent / file for file in read_json(weights)["weight_map"].values()})
        except (KeyError, AttributeError, TypeError) as error:
            raise WeightsError(f"{weights}: names no files of weights; fetch the model again") from error

    def load(self, kind: Any, dtype: torch.dtype | None = None) -> Any:
        """Raises WeightsError that names the file."""
        options: JsonObject = {}
        where = self.folder
        if dtype is not None:
            where = self.weights()
            options = {"variant": "fp16" if ".fp16." in where.name else None, "use_safetensors": True}
            # Both ways of diffusers map the file and convert tensor by tensor; this one is the quicker.
            is_diffusers = issubclass(kind, ModelMixin)
            options |= {"torch_dtype": dtype, "low_cpu_mem_usage": False} if is_diffusers else {"dtype": dtype}
            options["output_loading_info"] = True
        try:
            loaded = kind.from_pretrained(str(self.folder), local_files_only=True, **options)
            if dtype is None:
                return loaded
            model, told = loaded
            if missing := sorted(told["missing_keys"]):  # which the libraries would leave as they were drawn at random
                raise ValueError(f"{len(missing)} of its tensors are not there, the first {missing[0]}")
            return model
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            check_settings(self.folder)
            raise WeightsError(f"{where}: cannot be loaded ({first_line(error)}); fetch the model again") from error

    def _has_weights(self) -> bool:
        return any(f.name.startswith(STEMS) for f in self.folder.glob("*.safetensors*"))


def check_schedule(file: Path, config: Mapping[str, Any]) -> None:
    """Raise WeightsError, with all that is wrong, for settings of a noise schedule that are none."""
    steps, prediction = config.get("num_train_timesteps", 1000), config.get("prediction_type", "epsilon")
    betas = [config.get("beta_start", 0.00085), config.get("beta_end", 0.012)]
    problems: list[str] = []
    if not isinstance(steps, int) or not 1 <= steps <= MOST_TIMESTEPS:
        problems.append(f"num_train_timesteps is {str(steps)[:40]}, not a whole number from 1 to {MOST_TIMESTEPS:,}")
    if not all(isinstance(b, int | float) and 0 < b < 1 for b in betas):
        problems.append(f"beta_start and beta_end are {str(betas)[:80]}, not numbers between 0 and 1")
    if prediction not in ("epsilon", "v_prediction"):
        problems.append(f"prediction_type is {str(prediction)[:40]}, and epsilon and v_prediction are known")
    if problems:
        raise WeightsError(f"{file}: {'; '.join(problems)}; fetch the model again")


def read_json(file: Path) -> JsonObject:
    """A JSON object from a model folder. Raises WeightsError that names the file."""
    try:
        limits.MODEL_SETTINGS_BYTES.check(file.stat().st_size)
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{file}: missing; fetch the whole model") from error
    except (ValueError, RecursionError, OSError) as error:
        instead = None if isinstance(error, OSError) else stand_in(file)
        raise WeightsError(f"{file}: {instead or f'not a JSON file ({error}); fetch the model again'}") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{file}: not a JSON object; fetch the model again")
    return value
