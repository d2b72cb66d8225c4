"""What is wrong around a command: folders that cannot be made, a removed current folder, numbers too large."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents import run_in
from tests.running import run_python

OUTPUTS: dict[str, Callable[[Path], str]] = {
    "below a file": lambda here: f"output={here / 'file' / 'run'}",
    "deep below a file": lambda here: f"output={here / 'file' / 'a' / 'run'}",
    "a place of the system": lambda _: "output=/proc/run",
    "too long in all": lambda here: f"output={here / '/'.join(['d' * 200] * 25)}",
    "Hydra's own key": lambda here: f"hydra.run.dir={here / 'file' / 'run'}",
}


@pytest.mark.parametrize("script", ["train.py", "scripts/generate.py", "scripts/compare.py"])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_an_output_that_cannot_be_made_is_one_error(script: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    if script == "scripts/compare.py" and kind != "Hydra's own key":  # which writes to output itself, at its end
        return
    words = {"train.py": ["trainer.max_steps=1"], "scripts/generate.py": ["prompts=a"]}.get(script, ["runs=[file]"])
    outcome = run_in(tmp_path, ["python", script, *words, OUTPUTS[kind](tmp_path)])
    assert outcome.status in (1, 2), outcome.printed
    assert "Traceback" not in outcome.printed
    assert outcome.printed.startswith("error: ")
    assert re.search("make room or give access, or name another|give another path", outcome.printed)
    assert {p.name: p.is_file() for p in tmp_path.iterdir()} == {"file": True}


@pytest.mark.parametrize("script", ["train.py", "scripts/prepare.py"])
def test_a_removed_current_folder_is_one_error(script: str, tmp_path: Path) -> None:
    """In a process of its own: one that is forked cannot go to a folder that is not there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    start = (
        "import os, runpy, sys; os.rmdir(os.getcwd()); del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"
    )
    done = run_python("-c", start, ROOT / script, "--help", cwd=gone, ready="door")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the current folder has been removed: change to another (cd)")


@pytest.mark.parametrize("typed", [f"seed={10**19}", f"sampler.seed={10**20}", f"trainer.max_steps={10**30}"])
def test_a_number_of_twenty_digits_is_named_with_the_largest(typed: str, tmp_path: Path) -> None:
    outcome = run_in(tmp_path, ["python", "train.py", typed])
    key = typed.partition("=")[0]
    assert outcome.status == 2
    assert f"error: {key} must be at most {2**63 - 1}, got 1" in outcome.printed
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_largest_seed_trains(train_quickly) -> None:
    run = train_quickly("trainer.max_steps=1", f"seed={2**63 - 1}", f"sampler.seed={2**63 - 1}", "lora.rank=2")
    assert (run / "checkpoint_final").is_dir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    "words", [["train.py", "--help"], pytest.param(["train.py", "--cfg", "job"], marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("stream", ["full", "closed"])
def test_a_full_or_closed_standard_output_is_no_traceback(words: list[str], stream: str, tmp_path: Path) -> None:
    shell = (
        f"exec {sys.executable} {ROOT / words[0]} {' '.join(words[1:])} {'>/dev/full' if stream == 'full' else '>&-'}"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr
    if stream == "full":
        assert (done.returncode, done.stderr) == (
            1,
            "error: standard output cannot be written (No space left on device)\n",
        )


def test_a_run_that_ended_before_its_record_is_typed_again(tmp_path: Path) -> None:
    """What a kill leaves while a large base is loaded: the same command goes on, and resume= says so."""
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / "train.log").write_text("Base: SDXL\n")
    (run / ".lock").touch()
    outcome = run_in(tmp_path, ["python", "train.py", "resume=run"])
    assert (outcome.status, "type its command again" in outcome.printed) == (1, True)
    outcome = run_in(tmp_path, ["python", "train.py", "output=run", "--cfg", "job"])
    assert outcome.status == 0, outcome.printed
    (run / "mine.txt").touch()
    outcome = run_in(tmp_path, ["python", "train.py", "output=run"])
    assert (outcome.status, "is not an empty folder" in outcome.printed) == (2, True)
