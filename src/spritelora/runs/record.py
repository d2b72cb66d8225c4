"""A run's record, `run.json`: what resume, validation, comparison and export read, and nobody else of its file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spritelora.config.fields import is_place
from spritelora.config.former_names import rename_settings, with_new_names
from spritelora.config.overrides import Overrides
from spritelora.config.places import expand_known_home
from spritelora.config.plain import Section, as_section, flatten, from_plain, plain
from spritelora.config.train.data_keys import Balance, Split
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ResumeError
from spritelora.files import read_json
from spritelora.runs.layout import RECORD, STATE_FOLDER, is_run

BEFORE_THE_KEY: Mapping[str, Any] = {
    "data.balance": Balance.file.value,
    "data.cut_background": "keep",
    "data.include": ["*"],
    "data.shapes": ["square"],
    "data.split": Split.sprite.value,
    "hardware.base": BaseFormat.full.value,
    "loss": {"_target_": "spritelora.diffusion.losses.MeanSquared"},
    "timesteps": {"_target_": "spritelora.diffusion.timesteps.Uniform"},
}
"""The values of runs from before a key existed, where they are not the key's default."""
FORMER_DEFAULTS: Mapping[str, Any] = {"objective.unmasked_weight": 0.0}
"""Defaults that were others before: a run that has one goes on with it where nothing else is typed."""
RUN_ID = re.compile(r"[\w.-]{1,128}")
CANVAS = re.compile(r"[1-9]\d{0,4}x[1-9]\d{0,4}")


@dataclass(frozen=True)
class RunHardware:
    """The hardware of a run. `base`: the format of the base model; `chosen`: why."""

    device: str
    name: str
    precision: str
    base: str = BaseFormat.full.value
    chosen: str | None = None


@dataclass(frozen=True)
class RunModel:
    """The base of a run: its folder, and a fingerprint of each part, which runs of the first versions lack."""

    folder: str
    weights: dict[str, str] | None = None


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    `hash`: of the sprites and captions. `factor`: what all were enlarged by. `views`: of what manifests say, by part.
    `as_stored`: images are shown as they lie in their folder. `masks`, `regularisation`: hashes, None without any.
    `subjects`: a hash of which sprites are shown as one, None where none are. `grounds`: the names of the sprites that
    lost their background, by its colour. `canvases`: how many sprites to train on lie on each, by width x height, the
    most used first; None where all lie on the square. `numbers_apart`: captions part what numbers alone part by name.
    """

    hash: str
    num_training: int
    num_held_out: int
    matte: str
    factor: int | list[int] | None = None
    views: dict[str, str] = field(default_factory=dict[str, str])
    as_stored: bool = False
    masks: str | None = None
    regularisation: str | None = None
    num_regularisation: int | None = None
    subjects: str | None = None
    grounds: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    canvases: dict[str, int] | None = None
    numbers_apart: bool = False

    @property
    def facts(self) -> Section:
        """The known facts, as plain values."""
        without = (*(() if self.views else ("views", "as_stored")), *(() if self.grounds else ("grounds",)))
        values = {key: value for key, value in plain(self).items() if key not in without}
        return {key: value for key, value in values.items() if value is not None or key == "factor"}


@dataclass(frozen=True)
class RunRecord:
    """The record of a run. `id`: of the run, its W&B run's too. `sweep`: the name of the one that it is a job of.
    `overrides`: as Hydra read them. `settings`: as composed. `earlier`: hashes of the adapter files that it began with.
    `threads`: of the CPU, None where it did not say.
    """

    name: str
    id: str
    sweep: str | None
    overrides: list[str]
    settings: TrainConfig
    hardware: RunHardware
    model: RunModel
    data: RunData
    versions: dict[str, str] = field(default_factory=dict[str, str])
    earlier: dict[str, str] = field(default_factory=dict[str, str])
    threads: int | None = None
    unknown: Section = field(default_factory=Section)
    """Settings that this version does not know, flat."""
    missing: Section = field(default_factory=Section)
    """The settings of `BEFORE_THE_KEY` that the record's version did not know, flat, with the values it went by; those
    of `FORMER_DEFAULTS` that the run has, and that were not typed."""

    @staticmethod
    def read(source: Path) -> "RunRecord":
        """The record of a run directory, or the copy kept in a checkpoint; paths in its settings have no `~`.

        Raises ResumeError where `source` is neither, or its record is damaged.
        """
        file = _file_of(source)
        try:
            return from_json(read_json(file))
        except OSError as error:
            raise ResumeError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
        except ValueError as error:
            copy = "another copy of it" if file.parent.name == STATE_FOLDER else "one of the run's checkpoints"
            raise ResumeError(f"{file}: not a run record ({error}); resume from {copy}") from error

    def data_at(self, side_px: int) -> RunData:
        """The data of a run for images of `side_px`: the factor holds at the run's own size alone."""
        return self.data if side_px == self.settings.model.side_px else replace(self.data, factor=None)

    @property
    def defaults_then(self) -> Section:
        """The single values of `missing`: what the run went by where now the default is another one."""
        return {key: value for key, value in self.missing.items() if not isinstance(value, dict)}

    @property
    def flat(self) -> Section:
        """The settings by their dotted keys, those that are unknown here too."""
        return {**dict(flatten(plain(self.settings))), **self.unknown}

    @property
    def as_plain(self) -> Section:
        """The record as it is written."""
        values = {key: value for key, value in plain(self).items() if key not in ("unknown", "missing")}
        order = ("name", "id", "sweep", "overrides", "settings", "hardware", "threads", "versions", "model", "earlier")
        return {**{key: values[key] for key in order}, "data": self.data.facts}


def read_id(folder: Path) -> str | None:
    """The id of the run that the record in a folder is of; None where it tells none, as those of the first versions."""
    try:
        content: Any = read_json(folder / RECORD)
        return content["id"] if isinstance(content["id"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def from_json(content: object) -> RunRecord:
    """The record in a file's content, with what older ones lack filled in.

    Raises ValueError that says what is wrong.
    """
    if (given := as_section(content)) is None:
        raise ValueError("it is no section of keys")
    settings = as_section(given.get("settings")) or {}
    rename_settings(settings, TrainConfig)
    missing = _fill_in(settings) if settings else {}
    _find_homes(settings)
    record = from_plain(RunRecord, {**given, "unknown": {}, "missing": missing})
    if RUN_ID.fullmatch(record.id) is None:
        raise ValueError(f"id must be a word of letters and digits, got {record.id!r:.40}")
    record = replace(record, overrides=with_new_names(record.overrides, TrainConfig))
    if isinstance(record.settings.model.resolution, str):
        raise ValueError("settings.model.resolution must be a number: a run records what it settled on")
    if odd := [name for name in record.data.canvases or {} if CANVAS.fullmatch(name) is None]:
        raise ValueError(f"data.canvases must be named by width x height, got {odd[0]!r:.40}")
    known = dict(flatten(plain(record.settings)))
    own, typed = dict(flatten(settings)), Overrides(record.overrides).by_key
    record.missing.update({k: value for k, value in FORMER_DEFAULTS.items() if own.get(k) == value and k not in typed})
    record.unknown.update({key: value for key, value in own.items() if key not in known and not _is_open(key, known)})
    return record


def _file_of(source: Path) -> Path:
    if not source.is_dir():
        raise ResumeError(f"resume={source}: no such folder; give a run folder or one of its checkpoints")
    file = source / RECORD if is_run(source) else source / STATE_FOLDER / RECORD
    if file.is_file():
        return file
    raise ResumeError(
        f"resume={source}: neither a run folder ({RECORD}) nor a checkpoint ({STATE_FOLDER}/); a run that ended "
        f"before its first record has nothing to go on from: type its command again"
    )


def _fill_in(settings: Section) -> Section:
    """Give settings the keys that they lack. Returns those."""
    missing = Section()
    for key, value in BEFORE_THE_KEY.items():
        section, _, name = key.rpartition(".")
        place = settings.setdefault(section, {}) if section else settings
        if isinstance(place, dict) and name not in place:
            missing[key] = place[name] = value
    return missing


def _find_homes(settings: Section, prefix: str = "") -> None:
    """Give recorded paths the home folder of a `~`: earlier versions kept them as typed."""
    for key, value in settings.items():
        if (section := as_section(value)) is not None:
            _find_homes(section, f"{prefix}{key}.")
        elif isinstance(value, str) and is_place(TrainConfig, prefix + key):
            settings[key] = expand_known_home(value)


def _is_open(key: str, known: Mapping[str, Any]) -> bool:
    """Whether a key is the empty beginning of others that are known."""
    return any(name.startswith(f"{key}.") for name in known)
