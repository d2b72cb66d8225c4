"""A run's record: what resume, validation, comparison and export read."""

import dataclasses
import json
import platform
import secrets
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spritelora.config.invocation import Invocation
from spritelora.config.schema import TrainConfig
from spritelora.errors import ResumeError
from spritelora.sdxl.base import BaseModel
from spritelora.tasks.training_set import TrainingSet
from spritelora.training.hardware import Hardware

PACKAGES = (
    "spritelora", "torch", "pytorch-lightning", "diffusers", "transformers", "peft", "bitsandbytes", "hydra-core",
)  # fmt: skip

FREE_ON_RESUME = (
    "output",
    "resume",
    "data.path",
    "data.cache",
    "trainer.max_steps",
    "trainer.save_every",
    "trainer.sample_every",
    "trainer.validate_every",
    "trainer.log_every",
    "sampler",
    "logger",
    "sweep",
    "hardware.threads",
    "hardware.device",
)
"""What may change when a run goes on; all else would make it another run."""


def make_record(
    config: TrainConfig, invocation: Invocation, hardware: Hardware, base: BaseModel, sprites: TrainingSet, run_id: str
) -> dict[str, Any]:
    """The record of a run as plain values."""
    return {
        "name": invocation.name,
        "id": run_id,
        "sweep": invocation.sweep,
        "overrides": list(invocation.overrides),
        "settings": plain(config),
        "hardware": {"device": str(hardware.device), "name": hardware.name, "precision": hardware.precision.value},
        "versions": {"python": platform.python_version(), **dict(_versions())},
        "model": {"folder": str(base.folder.resolve())},
        "data": {
            "hash": sprites.hash,
            "num_training": len(sprites.training),
            "num_held_out": len(sprites.held_out),
            "matte": "#{:02x}{:02x}{:02x}".format(*sprites.matte),
        },
    }


def new_run_id() -> str:
    """An id that no other run has; W&B keeps it over a resume."""
    return secrets.token_hex(4)


def check_resumable(source: Path, recorded: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Raise ResumeError, naming every difference, unless `record` continues the recorded run."""
    before, now = dict(flatten(recorded["settings"])), dict(flatten(record["settings"]))
    changed = [
        f"{key}: {before.get(key)} -> {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not _is_free(key)
    ]
    if recorded["data"]["hash"] != record["data"]["hash"]:
        changed.append("data.path: the sprites or captions are not those the run was trained on")
    if changed:
        listed = "\n  ".join(changed)
        raise ResumeError(
            f"{source}: the settings differ from the run's, and it could not go on as it began\n  {listed}\n"
            f"leave these as they were, or start a new run without resume="
        )


def plain(value: Any) -> Any:
    """A dataclass as dictionaries, lists, numbers and text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.value if isinstance(value, Enum) else value


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested settings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def public_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """The flat settings that may leave this machine: no folders but their last names."""
    flat = {k: v for k, v in flatten(record["settings"]) if k not in ("output", "resume", "data.cache")}
    for key in ("data.path", "model.path", "model.vae", "model.tokenizer"):
        if flat.get(key) and Path(flat[key]).expanduser().exists():
            flat[key] = Path(flat[key]).expanduser().resolve().name
    return {
        **flat,
        **{f"versions.{k}": v for k, v in record["versions"].items()},
        **dict(flatten({"data_set": record["data"]})),
    }


def to_json(record: Mapping[str, Any]) -> str:
    """The record as it is written."""
    return json.dumps(record, indent=1) + "\n"


def _is_free(key: str) -> bool:
    return any(key == free or key.startswith(f"{free}.") for free in FREE_ON_RESUME)


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"
