"""Whose images `generate` draws: LoRA files, and the run that they are of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spritelora.config.commands.generate import GenerateConfig
from spritelora.errors import ConfigError, WeightsError
from spritelora.process import quick_imports
from spritelora.runs.layout import LORA_FILE, is_run
from spritelora.runs.record import RunRecord


@dataclass(frozen=True)
class Source:
    """Whose images are drawn. `record`: the run's, None without one."""

    loras: list[Path]
    record: RunRecord | None

    def recorded(self, section: str, name: str, default: Any) -> Any:
        """A setting of the run, else `default`."""
        return default if self.record is None else getattr(getattr(self.record.settings, section), name)


def find_source(config: GenerateConfig) -> Source:
    """The LoRAs to draw with. Raises ConfigError for two origins of them or a run without, WeightsError for no file."""
    if config.run is not None and config.lora:
        raise ConfigError("run= and lora= are both given: leave one out")
    files = [Path(name) for name in config.lora]
    if missing := [str(file) for file in files if not file.exists()]:
        raise WeightsError(f"lora={', '.join(missing)}: no such file; give LoRA files, or run=RUN for a run's newest")
    if config.run is None:
        return Source(files, None)
    with quick_imports():  # torch is slow to import
        from spritelora.drawing.subject import find_checkpoint

    run = Path(config.run)
    record = RunRecord.read(run) if is_run(run) else None
    checkpoint = find_checkpoint(run)
    return Source([checkpoint / LORA_FILE], record or RunRecord.read(checkpoint))
