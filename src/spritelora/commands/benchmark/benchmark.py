"""`scripts/benchmark.py`: figures of speed and memory, as one JSON object."""

import json
import logging
from pathlib import Path

from spritelora.commands.benchmark.figures import Figures, machine_figures
from spritelora.config.commands.benchmark import BenchmarkConfig, BenchmarkMode
from spritelora.errors import ConfigError, TrainingError
from spritelora.files import write_whole
from spritelora.process import quick_imports
from spritelora.streams import say

log = logging.getLogger(__name__)


def benchmark(config: BenchmarkConfig) -> Figures:
    """Measure, print the figures as one JSON object, and return them."""
    if config.peer is not None and config.mode is not BenchmarkMode.command:
        raise ConfigError("peer= is a whole command, to be timed beside train: add mode=command")
    if config.mode is BenchmarkMode.suite:
        from spritelora.commands.benchmark.suite.conduct import conduct

        return conduct(config)
    output = Path(config.output) if config.output is not None else None
    if output is not None and output.exists():
        raise ConfigError(f"output={output} exists already; name another file")
    with quick_imports():
        if config.mode is BenchmarkMode.command:
            from spritelora.commands.benchmark.whole_command import measure_command as measure
        elif config.mode is BenchmarkMode.project:
            from spritelora.commands.benchmark.projection import project as measure
        elif config.mode is BenchmarkMode.sample:
            from spritelora.commands.benchmark.sampling import measure_sampling as measure
        else:
            from spritelora.commands.benchmark.training import measure_training as measure
    figures = {**machine_figures(), **measure(config)}
    text = json.dumps(figures, indent=1)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            write_whole(output, text + "\n")
        except OSError as error:
            raise TrainingError(f"output={output}: {error.strerror}; name another file") from error
    say(text)
    return figures
