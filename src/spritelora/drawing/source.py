"""The LoRA files that draw, and the run that they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError, WeightsError
from spritelora.process import quick_imports
from spritelora.program import typed
from spritelora.runs.layout import FINAL, LORA_FILE, is_run
from spritelora.runs.record import RunRecord


@dataclass(frozen=True)
class Source:
    """LoRA files, and the run that says how to draw with them: its folder and its record, None without one.

    `is_own`: the files are the run's own.
    """

    files: list[Path]
    run_dir: Path | None = None
    record: RunRecord | None = None
    is_own: bool = False

    @property
    def settings(self) -> TrainConfig | None:
        """The run's settings, None without a run."""
        return self.record.settings if self.record else None


def find_source(run: str | None, lora: Sequence[str]) -> Source:
    """The LoRAs named, else the run's own. `run`: a run's folder, or one of its checkpoints.

    Raises WeightsError for a file that is not there, ConfigError for a run without a LoRA.
    """
    files = [Path(name) for name in lora]
    if missing := [str(file) for file in files if not file.exists()]:
        raise WeightsError(f"loras={', '.join(missing)}: no such file; give LoRA files, or run=RUN for a run's newest")
    if run is None:
        return Source(files)
    folder = Path(run)
    record = RunRecord.read(folder) if is_run(folder) else None
    checkpoint = find_checkpoint(folder)
    run_dir = folder if record else folder.parent
    own = [checkpoint / LORA_FILE]
    return Source(files or own, run_dir, record or RunRecord.read(checkpoint), is_own=not files)


def find_checkpoint(source: Path) -> Path:
    """A run's final checkpoint, else its newest, or `source` where that is one. Raises ConfigError where none is."""
    with quick_imports():  # torch is slow to import
        from spritelora.training.callbacks.checkpoints import check_own, newest_checkpoint

    if not source.is_dir():
        raise ConfigError(f"run={source}: no such folder; give a run folder or one of its checkpoints")
    if (source / LORA_FILE).is_file() and not is_run(source):
        return source
    if not is_run(source):
        raise ConfigError(f"run={source}: neither a run folder (run.json) nor a checkpoint ({LORA_FILE})")
    checkpoint = source / FINAL if (source / FINAL).is_dir() else newest_checkpoint(source)
    if checkpoint is None:
        raise ConfigError(
            f"run={source}: the run has no checkpoint yet, so there is no LoRA to take; go on with it: "
            f"{typed('train', f'resume={source}')}"
        )
    check_own(checkpoint)
    return checkpoint
