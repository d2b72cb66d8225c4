"""Stand-ins for files in the processes after the first."""

from collections.abc import Mapping
from pathlib import Path

from spritelora.runs.metrics import Event
from spritelora.training.logs.run_log import RunLog


class UnwrittenLog(RunLog):
    """Numbers of a run that another process writes."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir, self.logger, self.summary, self.events = run_dir, None, {}, []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.events.append(Event(step, dict(values)))

    def write_summary(self, status: str, step: int) -> None:
        """Nothing: the first process writes it."""
