"""Records of runs that were never trained: of the default settings, but for what a test says."""

import copy
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spritelora.config.plain import plain
from spritelora.runs.record import RunData, RunHardware, RunModel, RunRecord, from_json
from tests.composing import compose


@functools.cache
def _default() -> dict[str, Any]:
    record = RunRecord(
        name="defaults",
        id="a1b2c3d4",
        sweep=None,
        overrides=[],
        settings=compose("model.resolution=128", "sampler.prompts=pixel art, red potion"),  # a run settles them
        hardware=RunHardware("cpu", "CPU, 1 thread(s)", "fp32"),
        model=RunModel("base", {}),
        data=RunData("hash", 11, 1, "#ffffff"),
    )
    return record.as_plain


def plain_record(*overrides: str, **parts: Any) -> dict[str, Any]:
    """A record as a file holds it. `parts`: what differs, nested as it is."""
    whole = copy.deepcopy(_default())
    _merge(whole, plain({"overrides": list(overrides), **parts}))
    return whole


def a_record(*overrides: str, **parts: Any) -> RunRecord:
    """A record as it is read."""
    return from_json(plain_record(*overrides, **parts))


def write_record(folder: Path, *overrides: str, **parts: Any) -> Path:
    """Make a run's folder, or a checkpoint's state, with a record. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(plain_record(*overrides, **parts)))
    return folder


def _merge(whole: dict[str, Any], parts: Mapping[str, Any]) -> None:
    for key, value in parts.items():
        if isinstance(value, Mapping) and isinstance(whole.get(key), dict) and "_target_" not in value:
            _merge(whole[key], value)
        else:
            whole[key] = value
