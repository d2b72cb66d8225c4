"""A run's record as it begins, and whether one run may go on as another began."""

import json
import logging
import math
import os
import platform
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spritelora.config.fields import OnResume, free_keys, is_free, is_place, is_told
from spritelora.config.invocation import Invocation
from spritelora.config.plain import flatten
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig, default_settings
from spritelora.data.cache import Cache
from spritelora.data.training_set import TrainingSet
from spritelora.errors import ResumeError
from spritelora.files import JsonObject, is_same
from spritelora.process import package_versions
from spritelora.runs.record import RunData, RunHardware, RunModel, RunRecord
from spritelora.sdxl.files.base import BaseModel, fingerprints
from spritelora.training.hardware import Hardware

log = logging.getLogger(__name__)

BATCH = ("trainer.batch_size", "trainer.accumulate", "processes")


def make_record(
    config: TrainConfig,
    invocation: Invocation,
    hardware: Hardware,
    base: BaseModel,
    sprites: TrainingSet,
    run_id: str,
    earlier: Mapping[str, str],
) -> RunRecord:
    """The record of a run. `earlier`: hashes of adapter files that it begins with."""
    device, precision, base_format = str(hardware.device), hardware.precision.value, hardware.base.value
    weights = dict(fingerprints(base, Cache(Path(config.data.cache)).hashes))
    return RunRecord(
        name=invocation.name,
        id=run_id,
        sweep=invocation.sweep,
        overrides=list(invocation.overrides),
        settings=config,
        hardware=RunHardware(device, hardware.name, precision, base_format, hardware.chosen),
        model=RunModel(str(base.folder.resolve()), weights),
        data=RunData(
            hash=sprites.hash,
            num_training=len(sprites.training),
            num_held_out=len(sprites.held_out),
            matte=sprites.matte_text,
            factor=sprites.factor,
            views=dict(sprites.views),
            as_stored=bool(sprites.views) and sprites.is_as_stored,
            masks=sprites.masks_hash,
            regularisation=sprites.regularisation_hash if sprites.regularisation else None,
            num_regularisation=len(sprites.regularisation) or None,
            subjects=sprites.subjects_hash,
            grounds=sprites.grounds,
            canvases=sprites.recorded_canvases,
            numbers_apart=sprites.numbers_apart,
        ),
        versions={"python": platform.python_version(), **package_versions()},
        earlier=dict(earlier),
        threads=torch.get_num_threads() if hardware.device.type == "cpu" else None,
    )


def new_run_id() -> str:
    """An id that no other run has; W&B keeps it over a resume. In a sweep of W&B's own, its agent has given one."""
    given = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
    return given or secrets.token_hex(4)


def check_resumable(source: Path, recorded: RunRecord, record: RunRecord) -> None:
    """Raise ResumeError, naming every difference, unless `record` continues the recorded run."""
    changed = changed_settings(recorded.flat, record.flat)
    begun, begins = recorded.earlier, record.earlier
    if recorded.data.hash != record.data.hash:
        changed.append("data.path: the sprites or captions are not those the run was trained on")
    changed += [
        f"adapter.{name}: {'another file than' if name in begun and name in begins else 'not as'} the run began with"
        for name in ("start", "over")
        if begun.get(name) != begins.get(name)
    ]
    if note := changed_views(recorded.data, record.data):
        changed.append(f"data.path: {note}")
    if len({recorded.data.masks, record.data.masks} - {None}) > 1:
        changed.append("data.path: the masks of the sprites are not those the run was trained on")
    if recorded.data.hash == record.data.hash and recorded.data.subjects != record.data.subjects:
        changed.append("data.balance: other sprites are taken for one subject than when the run was begun")
    if recorded.data.hash == record.data.hash and recorded.data.canvases != record.data.canvases:
        changed.append("data.shapes: sprites would be shown on other canvases than when the run was begun")
    if recorded.data.regularisation != record.data.regularisation:
        changed.append("data.regularisation.path: the images or captions are not those the run was trained with")
    if parts := changed_weights(recorded, record.model.weights or {}):
        changed.append(
            f"model.path: the weights in {record.model.folder} are not those that the run began with "
            f"({', '.join(parts)}); name the base as it was"
        )
    if changed:
        listed, free = "\n  ".join(changed), ", ".join(free_keys(TrainConfig, OnResume.run))
        raise ResumeError(
            f"{source}: the settings differ from the run's, and it could not go on as it began\n  {listed}\n"
            f"leave these as they were, or start a new run without resume=; what may change is {free}"
        )


def changed_views(recorded: RunData, data: RunData) -> str | None:
    """A message about other manifests than the record's; None where nothing differs.

    Before manifests were read, and where there is none, files are shown as they lie in their folder.
    """
    before, now = recorded.views, data.views
    if before == now or (not before and data.as_stored):
        return None
    if not before:
        return (
            "the run was begun with the images as they lie in the folder, and by the manifest.jsonl in it they would "
            "now be shown otherwise; move that file away for this run, or start a new one"
        )
    if now.keys() < before.keys():
        return "the manifest.jsonl that the run was begun with is gone; put it back"
    return "by manifest.jsonl the images are enlarged or placed in another way than when the run was begun"


def changed_settings(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The flat settings that differ and may not when a run goes on: keys with values."""
    before, now = ({**default_settings(), **s} for s in (recorded, settings))
    if now["hardware.base"] == BaseFormat.auto.value:  # left open, so a run that goes on keeps the format it has
        now["hardware.base"] = before["hardware.base"]
    return _batch_changes(before, now) + [
        f"{key}: {before.get(key)} -> {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if _is_other(key, before.get(key), now.get(key))
        and key not in BATCH
        and not is_free(TrainConfig, key, OnResume.run)
    ]


def _is_other(key: str, before: object, now: object) -> bool:
    """Whether a value is another one; of a folder or file, whether it lies elsewhere."""
    if is_place(TrainConfig, key) and isinstance(before, str) and isinstance(now, str):
        return not is_same(Path(before).expanduser(), Path(now).expanduser())  # older records hold them as typed
    return before != now


def changed_weights(recorded: RunRecord, weights: Mapping[str, str]) -> list[str]:
    """The parts of a base whose `weights`, as fingerprints, are not those of a record; none where it has none."""
    before = recorded.model.weights or {}
    return [part for part in before if before[part] != weights.get(part)]


def warn_of_base(base: BaseModel, recorded: RunRecord | None, cache: Cache) -> None:
    """Say so where a base is not the one, to the last weight, that a run was trained on."""
    if recorded is not None and (parts := changed_weights(recorded, fingerprints(base, cache.hashes))):
        log.warning(
            "%s is not the base that the run was trained on (other weights: %s): images are not comparable with the "
            "run's own; name its base with model.path=",
            base.folder,
            ", ".join(parts),
        )


def _batch_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A message for a step that would take another number of sprites than before, with the remedy."""
    size, (_, accumulate, processes) = math.prod(_batch(before)), _batch(now)
    if size == math.prod(_batch(now)):
        return []
    was, is_now = (" x ".join(map(str, _batch(settings))) for settings in (before, now))
    divides = size % (accumulate * processes) == 0
    fitting = f"trainer.batch_size={size // (accumulate * processes)}" if divides else "other numbers"
    return [f"{' x '.join(BATCH)}: {was} -> {is_now}; for {size} sprites a step as before give {fitting}"]


def _batch(settings: Mapping[str, Any]) -> tuple[int, int, int]:
    """Sprites of a forward pass, passes of a step, and processes."""
    processes = settings.get("hardware.devices", 1) * settings.get("hardware.num_nodes", 1)
    return settings["trainer.batch_size"], settings["trainer.accumulate"], processes


def public_settings(record: RunRecord) -> JsonObject:
    """The flat settings that may leave this machine: no folders but their last names."""
    flat = {k: v for k, v in record.flat.items() if is_told(TrainConfig, k)}
    for key in flat:
        if is_place(TrainConfig, key) and flat[key] and Path(flat[key]).exists():
            flat[key] = Path(flat[key]).resolve().name
    return {
        **flat,
        **{f"versions.{k}": v for k, v in record.versions.items()},
        **dict(flatten({"data_set": {k: v for k, v in record.data.facts.items() if k != "grounds"}})),
    }


def to_json(record: RunRecord) -> str:
    """The record as it is written."""
    return json.dumps(record.as_plain, indent=1) + "\n"
