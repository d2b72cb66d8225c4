"""The logging of a command: one event, one line."""

import logging
import sys
from typing import Any

from spritelora.shown import paragraph


class BarSafeHandler(logging.StreamHandler[Any]):
    """Writes log lines above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


class Lines(logging.Formatter):
    """Formats a message so that no text in it, whoever wrote that, speaks to the terminal or begins a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = paragraph(record.message)
        return super().formatMessage(record)


LINES = "spritelora.door.job_logging.Lines"
JOB_LOGGING = {
    "version": 1,
    "formatters": {
        "plain": {"class": LINES, "format": "%(message)s"},
        "dated": {"class": LINES, "format": "%(asctime)s %(levelname)s %(message)s"},
    },
    "handlers": {
        "console": {"class": "spritelora.door.job_logging.BarSafeHandler", "formatter": "plain"},
        "file": {
            "class": "logging.FileHandler",
            "formatter": "dated",
            "delay": True,
            "encoding": "utf-8",
            "errors": "backslashreplace",
            "filename": "${hydra.runtime.output_dir}/${hydra.job.name}.log",
        },
    },
    "root": {"level": "INFO", "handlers": ["console", "file"]},
    "disable_existing_loggers": False,
}
"""Plain on the console, with its time in the run's log file."""
