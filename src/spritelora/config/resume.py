"""Where a run writes, and which settings `resume=` brings back, settled before Hydra composes."""

import json
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from spritelora.config.command_line import NUMBERS_OF_GROUPS
from spritelora.config.fields import declared_path, place_keys
from spritelora.config.output import is_occupied
from spritelora.config.overrides import override_key, typed_place
from spritelora.config.places import expand_known_home
from spritelora.config.recorded import refused_settings
from spritelora.config.schema import TrainConfig
from spritelora.errors import ConfigError, ResumeError

PLACES = place_keys(TrainConfig)
RECORD = "run.json"
LOG = "train.log"
STATE_FOLDER = "training_state"
FINAL = "checkpoint_final"
BEST = "checkpoint_best"
CHECKPOINT_PATTERN = re.compile(r"checkpoint_(step_(\d+)|final|best)$")


def replay_overrides(overrides: Sequence[str], is_multirun: bool) -> list[str]:
    """Put the recorded overrides of the resumed run before those typed now, and settle the run directory.

    Raises ConfigError for an `output` that holds files, ResumeError for a `resume` that is no run.
    """
    typed = {override_key(o): o for o in overrides}
    output, source = (typed_place(overrides, key) for key in ("output", "resume"))
    if source is None:
        if output is not None and is_occupied(output, LOG):
            raise ConfigError(f"output={output} is not an empty folder: choose another, or go on with resume={output}")
        return list(overrides)
    record = read_record(source)
    recorded = {override_key(o): o for o in cast(list[str], record["overrides"])}
    if refused := refused_settings(o for key, o in recorded.items() if key not in ("output", "resume", *typed)):
        raise ResumeError(
            f"resume={source}: {RECORD} records {', '.join(refused)}, which is no setting of a training as plain text, "
            f'and nothing else is taken from a file; remove it from "overrides" there'
        )
    recorded = {k: o for k, o in recorded.items() if not _is_replaced(k, typed)}
    settled = list({**recorded, **typed}.values())
    if not is_run(source):
        return settled
    if is_multirun:
        raise ConfigError(
            f"resume={source} goes on in one folder, so -m cannot sweep over it; name a checkpoint instead"
        )
    if output is not None:
        raise ConfigError(
            f"resume={source} continues in that run's own folder: leave out output=, "
            f"or name one of its checkpoints to start a new run"
        )
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return [*settled, f"output={source}", f"hydra.output_subdir=.hydra/resumed_{stamp}"]


def is_run(folder: Path) -> bool:
    """Whether `folder` is a run directory."""
    return (folder / RECORD).is_file()


def read_record(source: Path) -> dict[str, Any]:
    """The record of a run directory, or the copy kept in a checkpoint; paths in its settings have no `~`.

    Raises ResumeError where `source` is neither.
    """
    if not source.is_dir():
        raise ResumeError(f"resume={source}: no such folder; give a run directory or one of its checkpoints")
    file = source / RECORD if is_run(source) else source / STATE_FOLDER / RECORD
    if not file.is_file():
        raise ResumeError(f"resume={source}: neither a run directory ({RECORD}) nor a checkpoint ({STATE_FOLDER}/)")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(record["overrides"], list) or not isinstance(record["settings"], dict):
            raise TypeError("overrides or settings are missing")
    except (ValueError, KeyError, TypeError) as error:
        raise ResumeError(f"{file}: not a run record ({error}); resume from one of the run's checkpoints") from error
    _find_homes(record["settings"])
    return cast(dict[str, Any], record)


def _find_homes(settings: dict[str, Any], prefix: str = "") -> None:
    """Give recorded paths the home folder of a `~`: earlier versions kept them as typed."""
    for key, value in settings.items():
        if isinstance(value, dict):
            _find_homes(cast(dict[str, Any], value), f"{prefix}{key}.")
        elif isinstance(value, str) and declared_path(prefix + key, PLACES) in PLACES:
            settings[key] = expand_known_home(value)


def _is_replaced(recorded: str, typed: Collection[str]) -> bool:
    """Whether a recorded override gives way to what was typed: a typed group replaces the keys that it sets too."""
    groups = {key for key in typed if "." not in key}
    set_by_groups = {NUMBERS_OF_GROUPS[g] for g in groups if g in NUMBERS_OF_GROUPS}
    return recorded in ("output", "resume") or recorded.partition(".")[0] in groups or recorded in set_by_groups
