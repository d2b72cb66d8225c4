"""The run's numbers on disk and in its logger: a line per event, and a summary rewritten whole."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from spritelora.files import JsonObject, without_nan, write_whole
from spritelora.runs.metrics import LINES, SUMMARY, Event, final_metrics, read_events, to_line
from spritelora.training.logs.sample_table import SampleTable
from spritelora.training.logs.wandb_keys import SAMPLES
from spritelora.training.logs.wandb_run import send


class RunLog:
    """Writes metrics to `metrics.jsonl`, to `training_metrics.json` and to a Lightning logger.

    `resumed_at`: the step training goes on from; later lines of an earlier life of the run are dropped, for
    those steps come again.
    """

    def __init__(self, run_dir: Path, logger: Logger | None, resumed_at: int) -> None:
        self.run_dir = run_dir
        self.logger = logger
        self.summary: JsonObject = {}
        self.sample_table = SampleTable(resumed_at)
        self.events = [event for event in read_events(run_dir / LINES) if event.step <= resumed_at]
        write_whole(run_dir / LINES, "".join(map(to_line, self.events)))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values of one step."""
        self.events.append(Event(step, dict(values)))
        with (self.run_dir / LINES).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(to_line(self.events[-1]))
        self._tell(lambda logger: logger.log_metrics(dict(values), step))

    def has(self, name: str) -> bool:
        """Whether a value of that name was recorded."""
        return any(name in event.values for event in self.events)

    def log_images(self, step: int, captions: Sequence[str], files: Sequence[Path]) -> None:
        """Send sample images with their captions to the logger."""

        def tell(logger: Logger) -> None:
            if isinstance(logger, WandbLogger):
                logger.log_image(SAMPLES, [str(f) for f in files], step=step, caption=list(captions))
                self.sample_table.log(logger, step, captions, files)
            elif isinstance(logger, TensorBoardLogger):
                import numpy as np

                for caption, path in zip(captions, files, strict=True):
                    with Image.open(path) as image:
                        pixels = np.asarray(image)
                    logger.experiment.add_image(caption, pixels, step, dataformats="HWC")

        self._tell(tell)

    def series(self) -> dict[str, list[list[float]]]:
        """Every value as a list of [step, value]."""
        found: dict[str, list[list[float]]] = defaultdict(list)
        for event in self.events:
            for name, value in event.values.items():
                found[name].append([event.step, value])
        return dict(found)

    def write_summary(self, status: str, step: int) -> None:
        """Rewrite `training_metrics.json`: status, summary values, first and last of each series, all series."""
        series = self.series()
        ends = {name: {"first": s[0][1], "last": s[-1][1]} for name, s in series.items()}
        content = {"status": status, "step": step, **self.summary, "values": ends, "series": series}
        write_whole(self.run_dir / SUMMARY, json.dumps(without_nan(content), indent=1) + "\n")
        if isinstance(self.logger, WandbLogger) and status != "running":
            told = {"status": status, **final_metrics(self.events), **self.summary}
            self._tell(lambda logger: logger.experiment.summary.update(told))

    def _tell(self, action: Callable[[Any], None]) -> None:
        """Tell the logger something; of W&B that has failed no more is asked."""
        logger = self.logger
        if isinstance(logger, WandbLogger):
            self.logger = logger if send(lambda: action(logger)) else None
        elif logger is not None:
            action(logger)
