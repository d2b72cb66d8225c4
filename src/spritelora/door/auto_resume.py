"""`resume=auto`: the newest run of the same configuration goes on; where there is none, a new one starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spritelora.config.command_line import CommandLine, to_grammar
from spritelora.config.plain import flatten, plain
from spritelora.config.strict import load
from spritelora.config.train.processes import is_follower
from spritelora.config.train.schema import TrainConfig, default_settings
from spritelora.door.compose import compose_config
from spritelora.errors import ConfigError, ResumeError
from spritelora.runs.layout import FINAL, RECORD, is_run
from spritelora.runs.record import RunRecord
from spritelora.streams import complain

AUTO = "resume=auto"
RUNS = Path("outputs/train")
"""Where runs are when no `output` is given."""


def settle_auto(line: CommandLine, config_dir: Path, name: str, schema: type[Any]) -> CommandLine:
    """The command line as it is, or of a training with `resume=auto` settled: a run in its place, or nothing.

    Raises ConfigError for a sweep, ResumeError where `output` names a run of another configuration.
    """
    if line.overrides.text("resume") != "auto" or schema is not TrainConfig:
        return line
    if line.is_multirun:
        raise ConfigError(f"{AUTO} goes on with one run; for a sweep name its folder: resume=multirun/train/...")
    anew = line.with_overrides(line.overrides.without("resume").by_key.values())
    if is_follower():  # the first process says where the run goes on
        return anew
    unplaced = anew.overrides.without("output")
    settings = to_grammar(unplaced, TrainConfig)
    config = load(compose_config(config_dir, name, settings, line.config_dirs), TrainConfig)
    output = anew.overrides.path("output")
    run = _newest(config) if output is None else _of_folder(output, config)
    if run is None:
        return anew
    _tell(f"{run} goes on")
    return line.with_overrides([*unplaced, f"resume={run}"])


def _of_folder(folder: Path, config: TrainConfig) -> Path | None:
    if not is_run(folder):
        _tell(f"{folder} holds no run yet: training starts anew")
        return None
    if changes := _changes(RunRecord.read(folder), config):
        listed = "\n  ".join(changes)
        raise ResumeError(
            f"{folder} holds a run of another configuration\n  {listed}\nleave these as they were, or name another "
            f"folder with output="
        )
    return folder


def _newest(config: TrainConfig) -> Path | None:
    for run, record in _runs():
        if _changes(record, config):
            continue
        if (run / FINAL).is_dir() and record.settings.trainer.max_steps >= config.trainer.max_steps:
            _tell(f"{run}, the newest run of this configuration, is finished: training starts anew")
            return None
        return run
    _tell(f"no run in {RUNS} has this configuration: training starts anew")
    return None


def _runs() -> Iterator[tuple[Path, RunRecord]]:
    """The runs whose record can be read, the one that was started or gone on with last first."""
    records = sorted(RUNS.glob(f"*/{RECORD}"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in records:
        try:
            yield file.parent, RunRecord.read(file.parent)
        except ResumeError as error:
            _tell(f"passed over: {error}")


def _changes(record: RunRecord, config: TrainConfig) -> list[str]:
    from spritelora.commands.train.record import changed_settings  # torch is slow to import

    defaults, now = default_settings(), dict(flatten(plain(config)))
    kept = {key: now[key] for key in record.defaults_then if now[key] == defaults[key]}  # the run goes on with its own
    return changed_settings({**record.flat, **kept}, now)


def _tell(text: str) -> None:
    complain(f"{AUTO}: {text}")
