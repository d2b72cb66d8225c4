"""`train.py` from start to end as a user types it, with an empty and then a filled cache, beside another command."""

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spritelora.config.benchmark import BenchmarkConfig
from spritelora.errors import TrainingError
from spritelora.tasks.benchmark import spread
from spritelora.training.run_log import LINES

QUIET = ("logger=csv", "trainer.sample_every=0", "trainer.log_every=1")


def measure_command(config: BenchmarkConfig) -> dict[str, Any]:
    """Whole seconds of the command, cold and warm, and the time until its first step; in turn with `peer`."""
    cold, warm, first, peer = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="spritelora-benchmark-") as name:
        folder = Path(name)
        for number in range(config.rounds):
            cache = folder / f"cache_{number}"
            cold.append(_train(config, folder / f"cold_{number}", cache)[0])
            whole_s, first_s = _train(config, folder / f"warm_{number}", cache)
            warm.append(whole_s)
            first.append(first_s)
            if config.peer is not None:
                peer.append(time_command(shlex.split(config.peer)))
    figures: dict[str, Any] = {
        "mode": "command",
        "overrides": list(config.overrides),
        "cold_s": spread(cold),
        "warm_s": spread(warm),
        "warm_until_first_step_s": spread(first),
    }
    if peer:
        figures["peer"] = config.peer
        figures["peer_s"] = spread(peer)
        figures["cold_against_peer"] = spread([a / b for a, b in zip(cold, peer, strict=True)])
        figures["warm_against_peer"] = spread([a / b for a, b in zip(warm, peer, strict=True)])
    return figures


def _train(config: BenchmarkConfig, run_dir: Path, cache: Path) -> tuple[float, float]:
    """Seconds of a whole run, and from its start to the end of its first step."""
    first_s: list[float] = []

    def watch(elapsed_s: float) -> None:
        if not first_s and _has_step(run_dir / LINES):
            first_s.append(elapsed_s)

    command = [sys.executable, "train.py", *QUIET, *config.overrides, f"output={run_dir}", f"data.cache={cache}"]
    whole_s = time_command(command, watch)
    return whole_s, first_s[0] if first_s else whole_s


def _has_step(file: Path) -> bool:
    try:
        return '"loss"' in file.read_text()
    except OSError:
        return False


def time_command(command: Sequence[str], watch: Callable[[float], None] = lambda _elapsed_s: None) -> float:
    """Seconds that a command takes; `watch` is called with those so far. Raises TrainingError where it fails."""
    with tempfile.TemporaryFile("w+", errors="replace") as told:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        except OSError as error:
            raise TrainingError(f"{shlex.join(command)}: cannot be started ({error.strerror})") from error
        while process.poll() is None:
            watch(time.perf_counter() - started)
            time.sleep(0.02)
        elapsed_s = time.perf_counter() - started
        if process.returncode:
            told.seek(0)
            last = ([line for line in told.read().splitlines() if line.strip()] or ["it says nothing"])[-1]
            raise TrainingError(f"{shlex.join(command)} ended with status {process.returncode}: {last}")
    return elapsed_s
