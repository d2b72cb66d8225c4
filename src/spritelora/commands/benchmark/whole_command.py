"""`train` from start to end as a user types it, with an empty and then a filled cache, beside another command."""

import re
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.commands.benchmark.figures import Figures, spread
from spritelora.config.commands.benchmark import BenchmarkConfig
from spritelora.errors import TrainingError
from spritelora.program import child_command
from spritelora.runs.metrics import LINES, read_events, series

QUIET = ("logger=csv", "trainer.sample_every=0", "trainer.log_every=1")


@dataclass(frozen=True)
class Taken:
    """Seconds of one command: in all, until its first step, until the loss asked for, of its median step."""

    whole_s: float
    first_step_s: float
    step_s: float
    until_loss_s: float | None = None


def measure_command(config: BenchmarkConfig) -> Figures:
    """Whole seconds of the command, cold and warm, and the time until its first step; in turn with `peer`."""
    cold: list[Taken] = []
    warm: list[Taken] = []
    peer: list[tuple[float, float | None]] = []
    with tempfile.TemporaryDirectory(prefix="spritelora-benchmark-") as name:
        folder = Path(name)
        for number in range(config.rounds):
            cache = folder / f"cache_{number}"
            cold.append(_train(config, folder / f"cold_{number}", cache))
            warm.append(_train(config, folder / f"warm_{number}", cache))
            if config.peer is not None:
                seconds, told = time_command(shlex.split(config.peer))
                peer.append((seconds, told_step_s(told)))
    figures: Figures = {
        "mode": "command",
        "overrides": list(config.overrides),
        "cold_s": spread([t.whole_s for t in cold]),
        "warm_s": spread([t.whole_s for t in warm]),
        "warm_until_first_step_s": spread([t.first_step_s for t in warm]),
        "step_s": spread([t.step_s for t in warm]),
    }
    if config.until_loss is not None:
        figures["warm_until_loss_s"] = _until_loss(warm, config.until_loss)
    return figures | (_beside_peer(config.peer, cold, warm, peer) if config.peer is not None else {})


def _until_loss(taken: Sequence[Taken], loss: float) -> dict[str, float] | str:
    reached = [t.until_loss_s for t in taken if t.until_loss_s is not None]
    return spread(reached) if len(reached) == len(taken) else f"a validation loss of {loss:g} was not reached"


def _beside_peer(
    command: str, cold: Sequence[Taken], warm: Sequence[Taken], peer: Sequence[tuple[float, float | None]]
) -> Figures:
    whole = [seconds for seconds, _ in peer]
    figures: Figures = {
        "peer": command,
        "peer_s": spread(whole),
        "cold_against_peer": spread([a.whole_s / b for a, b in zip(cold, whole, strict=True)]),
        "warm_against_peer": spread([a.whole_s / b for a, b in zip(warm, whole, strict=True)]),
    }
    steps = [(ours.step_s, theirs) for ours, (_, theirs) in zip(warm, peer, strict=True) if theirs is not None]
    if steps:
        figures["peer_step_s"] = spread([theirs for _, theirs in steps])
        figures["step_against_peer"] = spread([ours / theirs for ours, theirs in steps])
    return figures


def told_step_s(text: str) -> float | None:
    """Seconds of a step by the last rate that a progress bar of tqdm's has told, which nearly all trainers show."""
    rates = re.findall(r"([0-9.]+)(s/it|it/s)\b", text)
    if not rates:
        return None
    value, unit = float(rates[-1][0]), rates[-1][1]
    return value if unit == "s/it" else 1 / value


def _train(config: BenchmarkConfig, run_dir: Path, cache: Path) -> Taken:
    first_s: list[float] = []
    reached_s: list[float] = []

    def watch(elapsed_s: float) -> None:
        events = read_events(run_dir / LINES)
        if not first_s and series(events, "loss"):
            first_s.append(elapsed_s)
        losses = [loss for _, loss in series(events, "validation_loss")]
        if not reached_s and config.until_loss is not None and losses and min(losses) <= config.until_loss:
            reached_s.append(elapsed_s)

    command = child_command("train", *QUIET, *config.overrides, f"output={run_dir}", f"data.cache={cache}")
    whole_s, _ = time_command(command, watch)
    watch(whole_s)
    steps = [time_s for _, time_s in series(read_events(run_dir / LINES), "step_time_s")]
    return Taken(whole_s, first_s[0], statistics.median(steps), reached_s[0] if reached_s else None)


def time_command(command: Sequence[str], watch: Callable[[float], None] = lambda _elapsed_s: None) -> tuple[float, str]:
    """Seconds that a command takes, and what it says; `watch` is called with the seconds so far.

    Raises TrainingError where it fails.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stream:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        except OSError as error:
            raise TrainingError(f"{shlex.join(command)}: cannot be started ({error.strerror})") from error
        while process.poll() is None:
            watch(time.perf_counter() - started)
            time.sleep(0.05)
        elapsed_s = time.perf_counter() - started
        stream.seek(0)
        told = stream.read()
    if process.returncode:
        last = ([line for line in told.splitlines() if line.strip()] or ["it says nothing"])[-1]
        raise TrainingError(f"{shlex.join(command)} ended with status {process.returncode}: {last}")
    return elapsed_s, told
