"""Which settings `resume=` brings back, and where a run writes, settled before Hydra composes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from spritelora.config.command_line import NUMBERS_OF_GROUPS
from spritelora.config.overrides import Override, Overrides
from spritelora.config.recorded import refused_settings
from spritelora.errors import ConfigError, ResumeError
from spritelora.program import typed
from spritelora.runs.layout import LOG, RECORD, is_run
from spritelora.runs.output import is_occupied
from spritelora.runs.record import RunRecord


def replay_overrides(overrides: Sequence[str], is_multirun: bool) -> list[str]:
    """Put the recorded overrides of the resumed run before those typed now, and settle the run directory.

    Raises ConfigError for an `output` that holds files, ResumeError for a `resume` that is no run.
    """
    asked = Overrides(overrides)
    typed, output, source = asked.by_key, asked.path("output"), asked.path("resume")
    if source is None:
        if output is not None and is_occupied(output, LOG):
            raise ConfigError(f"output={output} is not an empty folder: choose another, or go on with resume={output}")
        return list(overrides)
    record = RunRecord.read(source)
    recorded = Overrides(record.overrides).by_key
    if refused := refused_settings(o for key, o in recorded.items() if key not in ("output", "resume", *typed)):
        raise ResumeError(
            f"resume={source}: {RECORD} records {', '.join(refused)}, which is no setting of a training as plain text, "
            f'and nothing else is taken from a file; remove it from "overrides" there'
        )
    then = {key: Override(f"{key}={value}") for key, value in record.defaults_then.items()}
    recorded = {k: o for k, o in {**then, **recorded}.items() if not _is_replaced(k, typed)}
    settled: list[str] = [*{**recorded, **typed}.values()]
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


def way_on(run_dir: Path) -> str:
    """What to do after a run has ended before its last step; one without a record has nothing to go on from."""
    return f"to go on: {typed('train', f'resume={run_dir}')}" if is_run(run_dir) else "start the run again"


def _is_replaced(recorded: str, typed: Collection[str]) -> bool:
    """Whether a recorded override gives way to what was typed: a typed group replaces the keys that it sets too."""
    groups = {key for key in typed if "." not in key}
    set_by_groups = {NUMBERS_OF_GROUPS[g] for g in groups if g in NUMBERS_OF_GROUPS}
    return recorded in ("output", "resume") or recorded.partition(".")[0] in groups or recorded in set_by_groups
