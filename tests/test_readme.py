"""What the README and the pages of docs tell people to type is right; the guide has a test of its own."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spritelora.runs.sweep_record import SweepRecord, now, write_sweep
from tests.conftest import ROOT
from tests.documents import Command, commands_of, keys_in, keys_of, run_in
from tests.records import write_record

PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("install", "prepare", "training", "sweeps")),
    *(ROOT / "docs" / f"{name}.md" for name in ("clusters", "adapters", "loggers", "lora-files")),
]
FLAG_TABLES = (ROOT / "docs" / "original-guide.md").read_text()
MOST_LINES = 200
FLAGS = {
    "train": "dataset output model rank alpha lr steps batch-size resume",
    "prepare": "input output resolution create-captions no-pad validate-only",
    "caption": "mode prefix suffix",
    "validate": "lora output compare-base steps guidance prompts-file",
    "compare": "compare-models loras names",
}
"""The flags of the DGX-Pixels guide, by the script that takes their place."""


def typed_once() -> Iterator[Any]:
    """The commands of all pages; one that stands on several pages, or in the guide, is typed once."""
    known = {command.text for command in commands_of(ROOT / "docs" / "guide.md")}
    for page in PAGES:
        for command in commands_of(page):
            if command.text not in known:
                known.add(command.text)
                yield pytest.param(command, id=f"{page.stem} line {command.line}")


@pytest.mark.parametrize("command", typed_once())
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
    if "-m" in words and not any("(" in word for word in words):
        words = [w.partition(",")[0] for w in words if w != "-m"]  # a sweep itself is run by tests/sweeps
    outcome = run_in(tmp_path, [*words, *([] if "--cfg" in words else ["--cfg", "job"])])
    assert outcome.status == 0, outcome.printed
    if "resume=" in command.text and "resume=auto" not in command.text:
        assert "rank: 16" in outcome.printed


@pytest.mark.parametrize(("script", "flag"), [(s, f) for s, flags in FLAGS.items() for f in flags.split()])
def test_the_tables_of_the_guides_flags_are_complete(script: str, flag: str) -> None:
    rows = re.findall(rf"^\| `--{flag}[ `].*\| (.*) \|$", FLAG_TABLES, re.MULTILINE)
    keys = {key for row in rows for key in keys_in(row)}
    assert keys & keys_of(script), f"--{flag} has no row with a key of {script}"


def test_the_readme_is_read_in_minutes() -> None:
    assert len(PAGES[0].read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "guide.md"], ids=lambda page: page.stem)
def test_pictures_are_there_and_small_and_said_in_words(page: Path) -> None:
    for words, name in re.findall(r"!\[(.*?)\]\((\S+?)\)", page.read_text()):
        assert len(words) > 20, name
        assert (page.parent / name).stat().st_size < 150_000, name
