"""A sweep that goes on, by `resume=SWEEP` or by its command typed again: settled before Hydra composes."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from spritelora.config.command_line import CommandLine
from spritelora.config.fields import text_keys
from spritelora.config.free_text import quote, quote_free_text
from spritelora.config.overrides import override_key, typed_place
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError
from spritelora.runs.sweep_record import is_sweep, read_sweep

FREE = (
    "data.cache",
    "hardware.device",
    "hardware.threads",
    "logger",
    "sweep.stop_on_failure",
    "trainer.log_every",
    "trainer.save_every",
    "hydra/launcher",
    "hydra.launcher",
    "hydra.sweeper.n_trials",
    "hydra.sweeper.n_jobs",
)
"""What may change when a sweep goes on; with all else its jobs would no longer compare."""


def continue_sweep(line: CommandLine) -> CommandLine:
    """The command line as it is, or of the sweep that `resume` or, with -m, `output` names, in that sweep's folder.

    Raises ConfigError where it asks for another sweep than the recorded one.
    """
    typed = {override_key(o): o for o in line.overrides}
    resume, output = (typed_place(line.overrides, key) for key in ("resume", "output"))
    if resume is not None and is_sweep(resume):
        folder, is_whole = resume, False
    elif line.is_multirun and output is not None and is_sweep(output):
        folder, is_whole = output, True
    else:
        return line
    record = read_sweep(folder)
    recorded = {override_key(o): o for o in record.overrides if override_key(o) not in ("output", "hydra.sweep.dir")}
    if is_whole:
        typed = {key: o for key, o in typed.items() if key != "output"}
        _check_same(folder, recorded, typed)
    else:
        typed = {key: o for key, o in typed.items() if key != "resume"}
        _check_free(folder, recorded, typed)
    flags = [f for f in line.flags if f not in ("-m", "--multirun")]
    flags += [] if is_whole else [f for f in record.flags if f not in ("-m", "--multirun", *flags)]
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    place = [f"hydra.sweep.dir={quote(str(folder))}", f"hydra.output_subdir=.hydra/resumed_{stamp}"]
    return CommandLine([*flags, "-m"], [*{**recorded, **typed}.values(), *place])


def _check_free(folder: Path, recorded: Mapping[str, str], typed: Mapping[str, str]) -> None:
    wrong = [o for key, o in typed.items() if recorded.get(key) != o and not _is_free(key, recorded)]
    if wrong:
        raise ConfigError(
            f"resume={folder} goes on with that sweep's own settings, so {' '.join(wrong)} cannot change; "
            f"beside it only {', '.join(FREE)} may be typed; for other jobs start a new sweep"
        )


def _check_same(folder: Path, recorded: Mapping[str, str], typed: Mapping[str, str]) -> None:
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


def _is_free(key: str, recorded: Mapping[str, str]) -> bool:
    """Whether a key may change: one that the sweep itself goes over may not."""
    if not any(key == free or key.startswith(f"{free}.") for free in FREE):
        return False
    return key not in recorded or not _is_swept(recorded[key])


def _is_swept(override: str) -> bool:
    (quoted,) = quote_free_text([override], text_keys(TrainConfig))
    return OverridesParser.create().parse_override(quoted).is_sweep_override()
