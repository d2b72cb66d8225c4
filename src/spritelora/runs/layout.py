"""Names of the files and folders that a run and its validation leave on disk."""

import re
from pathlib import Path

RECORD = "run.json"
LOG = "train.log"
STATE_FOLDER = "training_state"
FINAL = "checkpoint_final"
BEST = "checkpoint_best"
LORA_FILE = "lora.safetensors"
DRAWN = ".drawn"
"""The folder of images that an unfinished command has drawn."""
VALIDATION, COLOUR_PROFILES = "validation.json", "colours.npz"
CHECKPOINT_PATTERN = re.compile(r"checkpoint_(step_(\d+)|final|best)$")


def is_run(folder: Path) -> bool:
    """Whether `folder` is a run directory."""
    return (folder / RECORD).is_file()
