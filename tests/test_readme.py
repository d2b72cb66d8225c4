"""What the README tells people to type is right."""

import re
import subprocess
from pathlib import Path

import pytest

from spritelora.runs.sweep_record import SweepRecord, now, write_sweep
from tests.conftest import ROOT
from tests.documents import Command, commands_of, keys_in, keys_of, run_in
from tests.records import write_record

FILE = ROOT / "README.md"
README = FILE.read_text()
FLAGS = {
    "train": "dataset output model rank alpha lr steps batch-size resume",
    "prepare": "input output resolution create-captions no-pad validate-only",
    "caption": "mode prefix suffix",
    "validate": "lora output compare-base steps guidance prompts-file",
    "compare": "compare-models loras names",
}
"""The guide's flags, by the script that takes their place."""


@pytest.mark.parametrize("command", commands_of(FILE), ids=lambda c: f"line {c.line}")
def test_every_command_passes_the_door(command: Command, tmp_path: Path) -> None:
    if command.words[0] == "make":
        subprocess.run(["make", "--dry-run", *command.words[1:]], cwd=ROOT, check=True, capture_output=True)
        return
    run = tmp_path / "outputs" / "train" / "<date>_<time>"
    checkpoint = run / "checkpoint_step_500" / "training_state"
    for folder in (run, checkpoint):
        write_record(folder, "lora=rank16")
    sweep = tmp_path / "multirun" / "train" / run.name
    write_sweep(sweep, SweepRecord([], ["lora=rank16,rank16"], None, "validation_loss", now()))
    words = command.words
    if "-m" in words:
        words = [w.partition(",")[0] for w in words if w != "-m"]  # a sweep itself is run by tests/sweeps
    outcome = run_in(tmp_path, [*words, *([] if "--cfg" in words else ["--cfg", "job"])])
    assert outcome.status == 0, outcome.printed
    if "resume=" in command.text and "resume=auto" not in command.text:
        assert "rank: 16" in outcome.printed


@pytest.mark.parametrize(("script", "flag"), [(s, f) for s, flags in FLAGS.items() for f in flags.split()])
def test_the_tables_of_the_guides_flags_are_complete(script: str, flag: str) -> None:
    rows = re.findall(rf"^\| `--{flag}[ `].*\| (.*) \|$", README, re.MULTILINE)
    keys = {key for row in rows for key in keys_in(row)}
    assert keys & keys_of(script), f"--{flag} has no row with a key of {script}"
