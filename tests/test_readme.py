"""What the README tells people to type is right."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spritelora.config.sweep import SweepRecord, now, write_sweep
from tests.conftest import ROOT, run_train

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\s*python train\.py (.*)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_passes_the_door(command: str, tmp_path: Path) -> None:
    run = tmp_path / "<date>_<time>"
    checkpoint = run / "checkpoint_step_500" / "training_state"
    checkpoint.mkdir(parents=True)
    for folder in (run, checkpoint):
        (folder / "run.json").write_text('{"overrides": ["lora=rank16"], "settings": {}}')
    sweep = tmp_path / "sweeps" / run.name
    write_sweep(sweep, SweepRecord([], ["lora=rank16,rank16"], None, "validation_loss", now()))
    command = command.replace("outputs/train", str(tmp_path)).replace("multirun/train", str(sweep.parent))
    words = re.findall(r'(?:[^\s"]|"[^"]*")+', command)
    arguments = [w.replace('"', "") for w in words]
    if arguments[0] == "-m":
        arguments = [a.partition(",")[0] for a in arguments[1:]]  # a sweep itself is run by tests/tasks
    result = run_train(*arguments, *([] if "--cfg" in command else ["--cfg", "job"]))
    assert result.returncode == 0, result.stderr
    if "resume=" in command:
        assert "rank: 16" in result.stdout


@pytest.mark.parametrize("command", re.findall(r"^\s*python (scripts/.*)$", README, re.MULTILINE))
def test_every_script_passes_the_door(command: str) -> None:
    script, *arguments = re.sub("<date>_<time>", "now", command).split()
    words = [sys.executable, str(ROOT / script), *(a.partition("|")[0] for a in arguments), "--cfg", "job"]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_table_of_the_guides_flags_is_complete() -> None:
    trainer = ("dataset", "output", "model", "rank", "alpha", "lr", "steps", "batch-size", "resume")
    data = ("input", "output", "resolution", "create-captions", "no-pad", "validate-only", "mode", "prefix", "suffix")
    for flag in (*trainer, *data):
        assert re.search(rf"^\| `--{flag}[ `]", README, re.MULTILINE)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)$", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
