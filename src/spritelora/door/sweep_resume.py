"""A sweep that goes on, by `resume=SWEEP` or by its command typed again: settled before Hydra composes."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from spritelora.config.command_line import CommandLine
from spritelora.config.fields import OnResume, free_keys, is_free, text_keys
from spritelora.config.overrides import Override, Overrides
from spritelora.config.recorded import refused_of_sweep
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError
from spritelora.runs.output import HYDRA
from spritelora.runs.sweep_record import SWEEP, SweepRecord, is_sweep, read_sweep

FREE_OF_HYDRA = ("hydra/launcher", "hydra.launcher", "hydra.sweeper.n_trials", "hydra.sweeper.n_jobs")
"""Keys of Hydra's own that may change when a sweep goes on, beside those whose fields say so."""
PLACE = ("output", "hydra.sweep.dir", "hydra.output_subdir")
"""Settings that say where a sweep lies, and not what it is."""
SUBFOLDER = "hydra.output_subdir"


def continue_sweep(line: CommandLine) -> CommandLine:
    """The command line as it is, or of the sweep that `resume` or, with -m, `output` names, in that sweep's folder.

    Raises ConfigError where it asks for another sweep than the recorded one.
    """
    resume, output = (line.overrides.path(key) for key in ("resume", "output"))
    if resume is not None and is_sweep(resume):
        folder, is_whole = resume, False
    elif line.is_multirun and output is not None and is_sweep(output):
        folder, is_whole = output, True
    else:
        return line
    record = read_sweep(folder)
    recorded = _by_key(record.overrides)
    typed = line.overrides.without("output" if is_whole else "resume").by_key
    if is_whole:
        _check_same(folder, recorded, typed)
    else:
        _check_free(folder, recorded, typed)
        _check_trusted(folder, recorded, typed)
    flags = line.of_job(()).flags
    flags += [] if is_whole or line.config_dirs else [f"--config-dir={place}" for place in _config_dirs(folder, record)]
    asked = Overrides({**recorded, **typed}.values()).with_text("hydra.sweep.dir", str(folder))
    return in_own_subfolder(CommandLine([*flags, "-m"], asked))


def _check_trusted(folder: Path, recorded: Mapping[str, Override], typed: Mapping[str, Override]) -> None:
    """Raise ConfigError for what a stranger's record could do more than train, unless it is typed again."""
    refused = refused_of_sweep((o for key, o in recorded.items() if key not in typed), folder)
    if refused:
        raise ConfigError(
            f"resume={folder}: {SWEEP} records {', '.join(map(repr, refused))}, which is not taken from a file, for it "
            f"could run code or write to other folders; type it again, or start a new sweep"
        )


def _config_dirs(folder: Path, record: SweepRecord) -> list[Path]:
    """The folders with options that a sweep was started with. Raises ConfigError for one out of the sweep's folder."""
    places = CommandLine(record.flags, Overrides()).config_dirs
    if outside := [place for place in places if not place.resolve().is_relative_to(folder.resolve())]:
        raise ConfigError(
            f"resume={folder}: the sweep was started with options of its own in {str(outside[0])!r}; to take them, "
            f"type --config-dir= with that folder again"
        )
    return places


def in_own_subfolder(line: CommandLine) -> CommandLine:
    """The command line of a start that is not a sweep's first: what Hydra writes of its jobs overwrites nothing."""
    if line.overrides.text(SUBFOLDER) is not None:
        return line
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{os.getpid()}"
    return line.with_overrides([*line.overrides, f"{SUBFOLDER}={HYDRA}/resumed_{stamp}"])


def check_same_sweep(folder: Path, overrides: Sequence[str]) -> None:
    """Raise ConfigError where a command line asks for another sweep than the one in `folder`."""
    _check_same(folder, _by_key(read_sweep(folder).overrides), _by_key(overrides))


def _by_key(overrides: Sequence[str]) -> dict[str, Override]:
    """Overrides by their keys, without those that say where the sweep lies."""
    return Overrides(overrides).without(*PLACE).by_key


def _check_free(folder: Path, recorded: Mapping[str, Override], typed: Mapping[str, Override]) -> None:
    wrong = [o for key, o in typed.items() if recorded.get(key) != o and not _is_free(key, recorded)]
    if wrong:
        free = ", ".join([*free_keys(TrainConfig, OnResume.sweep), *FREE_OF_HYDRA])
        raise ConfigError(
            f"resume={folder} goes on with that sweep's own settings, so {' '.join(wrong)} cannot change; "
            f"beside it only {free} may be typed; for other jobs start a new sweep"
        )


def _check_same(folder: Path, recorded: Mapping[str, Override], typed: Mapping[str, Override]) -> None:
    different = [
        f"{recorded.get(key, key + ' unset')} -> {typed.get(key, 'unset')}"
        for key in dict.fromkeys([*recorded, *typed])
        if recorded.get(key) != typed.get(key) and not _is_free(key, recorded)
    ]
    if different:
        listed = "\n  ".join(different)
        raise ConfigError(
            f"output={folder} holds another sweep\n  {listed}\nname another folder, or go on with resume={folder}"
        )


def _is_free(key: str, recorded: Mapping[str, Override]) -> bool:
    """Whether a key may change: one that the sweep itself goes over may not."""
    is_hydras = any(key == free or key.startswith(f"{free}.") for free in FREE_OF_HYDRA)
    if not is_hydras and not is_free(TrainConfig, key, OnResume.sweep):
        return False
    return key not in recorded or not _is_swept(recorded[key])


def _is_swept(override: Override) -> bool:
    return OverridesParser.create().parse_override(override.quoted(text_keys(TrainConfig))).is_sweep_override()
