"""A run that is killed again and again, each life forked from a process that has imported everything.

`python -m tests.tasks.killing RUN CACHE KILLS SEED` ends with a line of JSON: what the lives came to.
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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from spritelora.config.invocation import Invocation
from spritelora.config.resume import RECORD, is_run, read_record
from spritelora.config.schema import TrainConfig
from spritelora.run_folder import claimed
from spritelora.training.checkpoints import checkpoint_step, newest_checkpoint
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
    from spritelora.tasks.train import train

    try:
        with claimed(run):
            going_on = replace(config, resume=str(run) if is_run(run) else None)
            train(going_on, Invocation(run, OVERRIDES, on_first_step=lambda: os.write(told, b"1") and None))
    except BaseException:
        (run / "failure.txt").write_text(traceback.format_exc())
    os._exit(1)


def kill_one(config: TrainConfig, run: Path, random_s: random.Random) -> bool:
    """Start a life and kill it at a random moment; returns whether it had begun to train."""
    listens, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        one_life(config, run, tells)
    os.close(tells)
    patience_s = random_s.uniform(0.0, 2.0) if random_s.random() < 0.15 else 300.0
    is_training = bool(select.select([listens], [], [], patience_s)[0])
    if is_training:
        time.sleep(random_s.uniform(0.0, 1.5))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(listens)
    return is_training


def problems_of(run: Path) -> Iterator[str]:
    """What a reader of the run's folder could not read."""
    if (run / "failure.txt").exists():
        yield (run / "failure.txt").read_text()
    if (run / RECORD).exists():
        read_record(run)
    if (summary := run / "training_metrics.json").exists():
        json.loads(summary.read_text())
    for folder in run.glob("checkpoint_*"):
        checkpoint_step(folder)


def main() -> None:
    run, cache, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    import spritelora.tasks.fit  # noqa: F401  # once for all lives

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    run.mkdir(parents=True, exist_ok=True)
    config, random_s = compose(*OVERRIDES, f"data.cache={cache}"), random.Random(seed)
    trained, midway, problems = 0, 0, []
    for _ in range(kills):
        trained += kill_one(config, run, random_s)
        midway += any(run.glob(".checkpoint_*"))
        problems += problems_of(run)
    checkpoint = newest_checkpoint(run)
    step = checkpoint_step(checkpoint) if checkpoint else 0
    told = {"kills": kills, "in_training": trained, "in_a_checkpoint": midway, "step": step, "problems": problems}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
