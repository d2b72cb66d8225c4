"""A run that is killed again and again, each life forked from a process that has imported everything.

`python -m tests.commands.killing RUN CACHE KILLS SEED` ends with a line of JSON: what the lives came to.
"""

import json
import logging
import os
import random
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from spritelora.door.run_folder import claimed
from spritelora.runs.layout import RECORD, is_run
from spritelora.runs.record import RunRecord
from spritelora.training.callbacks.checkpoints import checkpoint_step, newest_checkpoint
from tests.composing import compose
from tests.conftest import QUICK

OVERRIDES = (
    *QUICK,
    "targets.modules=[attn2.to_v]",
    "trainer.batch_size=1",
    "trainer.save_every=1",
    "trainer.keep_last=3",
    "trainer.validate_every=3",
    "trainer.keep_best=true",
    "trainer.ema=0.9",
    "trainer.max_steps=100000",
    "validation.limit=1",
    "hardware.threads=1",
)


def one_life(config: TrainConfig, run: Path, told: int) -> None:
    """Train until a kill comes, telling of the first step; a failure of any other kind is told too."""
    from spritelora.commands.train.train import train

    try:
        with claimed(run):
            going_on = replace(config, resume=str(run) if is_run(run) else None)
            train(going_on, Invocation(run, OVERRIDES, on_first_step=lambda: os.write(told, b"1") and None))
    except BaseException:
        (run / "failure.txt").write_text(traceback.format_exc())
    os._exit(1)


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)


def kill_one(config: TrainConfig, run: Path, random_s: random.Random) -> str:
    """Start a life and kill it at a random moment; returns where that was aimed at: before training, at a step, or
    within the writing of a checkpoint.
    """
    listens, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        one_life(config, run, tells)
    os.close(tells)
    aim = random_s.choices(("start", "step", "checkpoint"), (0.15, 0.35, 0.5))[0]
    if aim == "start":
        time.sleep(random_s.uniform(0.0, 4.0))
    else:
        select.select([listens], [], [], 300.0)
        before = steps_of(run)
        wait_until(lambda: len(steps_of(run) - before) >= 1)
        if aim == "checkpoint":
            wait_until(lambda: any(run.glob(".checkpoint_*")))
        time.sleep(random_s.uniform(0.0, 0.05 if aim == "checkpoint" else 0.5))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(listens)
    return aim


def steps_of(run: Path) -> set[str]:
    return {p.name for p in run.glob("checkpoint_step_*")}


def problems_of(run: Path) -> Iterator[str]:
    """What a reader of the run's folder could not read."""
    if (run / "failure.txt").exists():
        yield (run / "failure.txt").read_text()
    if (run / RECORD).exists():
        RunRecord.read(run)
    if (summary := run / "training_metrics.json").exists():
        json.loads(summary.read_text())
    for folder in run.glob("checkpoint_*"):
        checkpoint_step(folder)


def main() -> None:
    run, cache, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    import spritelora.commands.train.fit  # noqa: F401  # once for all lives

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    run.mkdir(parents=True, exist_ok=True)
    config, random_s = compose(*OVERRIDES, f"data.cache={cache}"), random.Random(seed)
    aims, midway, problems = Counter[str](), 0, list[str]()
    for number in range(1, kills + 1):
        aims[kill_one(config, run, random_s)] += 1
        midway += any(run.glob(".checkpoint_*"))
        problems += problems_of(run)
        print(f"{number} kills, {dict(aims)}, {midway} left half a checkpoint", file=sys.stderr, flush=True)  # noqa: T201
    checkpoint = newest_checkpoint(run)
    step = checkpoint_step(checkpoint) if checkpoint else 0
    told = {"kills": kills, "aimed_at": aims, "half_written": midway, "step": step, "problems": problems}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
