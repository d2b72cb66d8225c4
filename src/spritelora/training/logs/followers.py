"""Stand-ins for files in the processes after the first."""

from collections.abc import Mapping
from pathlib import Path

from spritelora.training.logs.run_log import RunLog


class UnwrittenLog(RunLog):
    """Numbers of a run that another process writes."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir, self.logger, self.summary, self.lines = run_dir, None, {}, []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.lines.append({"step": step, **values})

    def write_summary(self, status: str, step: int) -> None:
        """Nothing: the first process writes it."""
