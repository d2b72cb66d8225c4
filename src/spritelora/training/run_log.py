"""The run's numbers on disk and in its logger: a line per event, and a summary rewritten whole."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from spritelora.files import without_nan, write_whole

LINES, SUMMARY = "metrics.jsonl", "training_metrics.json"


class RunLog:
    """Writes metrics to `metrics.jsonl`, to `training_metrics.json` and to a Lightning logger.

    `resumed_at`: the step training goes on from; later lines of an earlier life of the run are dropped, for
    those steps come again.
    """

    def __init__(self, run_dir: Path, logger: Logger | None, resumed_at: int) -> None:
        self.run_dir = run_dir
        self.logger = logger
        self.summary: dict[str, Any] = {}
        self.lines = [line for line in _read_lines(run_dir / LINES) if line["step"] <= resumed_at]
        write_whole(run_dir / LINES, "".join(json.dumps(line) + "\n" for line in self.lines))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values of one step."""
        line = {"step": step, **values}
        self.lines.append(line)
        with (self.run_dir / LINES).open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        if self.logger is not None:
            self.logger.log_metrics(dict(values), step)

    def has(self, name: str) -> bool:
        """Whether a value of that name was recorded."""
        return any(name in line for line in self.lines)

    def value_at(self, step: int, name: str) -> float | None:
        """The value of that name recorded at a step, the newest first."""
        return next((line[name] for line in reversed(self.lines) if line["step"] == step and name in line), None)

    def log_images(self, step: int, captions: Sequence[str], files: Sequence[Path]) -> None:
        """Send sample images with their captions to the logger."""
        if self.logger is None:
            return
        if isinstance(self.logger, WandbLogger):
            self.logger.log_image("samples", [str(f) for f in files], step=step, caption=list(captions))
        elif isinstance(self.logger, TensorBoardLogger):
            import numpy as np

            for caption, path in zip(captions, files, strict=True):
                pixels = np.asarray(Image.open(path))
                self.logger.experiment.add_image(caption, pixels, step, dataformats="HWC")

    def series(self) -> dict[str, list[list[float]]]:
        """Every value as a list of [step, value]."""
        found: dict[str, list[list[float]]] = defaultdict(list)
        for line in self.lines:
            for name, value in line.items():
                if name != "step":
                    found[name].append([line["step"], value])
        return dict(found)

    def write_summary(self, status: str, step: int) -> None:
        """Rewrite `training_metrics.json`: status, summary values, first and last of each series, all series."""
        series = self.series()
        ends = {name: {"first": s[0][1], "last": s[-1][1]} for name, s in series.items()}
        content = {"status": status, "step": step, **self.summary, "values": ends, "series": series}
        write_whole(self.run_dir / SUMMARY, json.dumps(without_nan(content), indent=1) + "\n")
        if isinstance(self.logger, WandbLogger) and status != "running":
            self.logger.experiment.summary.update({"status": status, **self.summary})


def _read_lines(file: Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics file; a kill can leave half a line at its end."""
    if not file.exists():
        return []
    lines: list[dict[str, Any]] = []
    for text in file.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
