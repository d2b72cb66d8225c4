"""What a run's files are called, by which the command line finds it."""

import re
from pathlib import Path

RECORD = "run.json"
LOG = "train.log"
STATE_FOLDER = "training_state"
FINAL = "checkpoint_final"
BEST = "checkpoint_best"
CHECKPOINT_PATTERN = re.compile(r"checkpoint_(step_(\d+)|final|best)$")


def is_run(folder: Path) -> bool:
    """Whether `folder` is a run directory."""
    return (folder / RECORD).is_file()
