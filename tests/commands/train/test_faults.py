"""What goes wrong outside: a disk that is full, a cache that two runs fill at once, two signals."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from spritelora.commands.train.train import train
from spritelora.config.invocation import Invocation
from spritelora.errors import TrainingError
from tests.composing import compose
from tests.conftest import QUICK, ROOT, assert_same_tensors, lora_of

SMALL = (*QUICK, "targets.modules=[attn2.to_v]", "trainer.batch_size=1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(
        ["umount", "--lazy", str(folder)],  # a logger may hold a file open still
        check=True,
    )


def fill(folder: Path, leave: int) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(bytes(max(0, free - leave)))


def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(small_disk: Path, cache: Path) -> None:
    """The checkpoint finds no room: those before it stay, and nothing is left of it."""
    run, common = small_disk / "run", (*SMALL, f"data.cache={cache}", "trainer.save_every=1")
    run.mkdir()
    train(compose(*common, "trainer.max_steps=1"), Invocation(run, common))
    going_on = compose(*common, "trainer.max_steps=2", f"resume={run}")
    with pytest.raises(
        TrainingError, match=r"cannot be written \(.*No space left .*\); free space, then resume the run"
    ):
        train(going_on, Invocation(run, common, on_first_step=lambda: fill(small_disk, 20_000)))
    assert {p.name for p in run.glob("*checkpoint*")} == {"checkpoint_step_1"}
    (small_disk / "filler").unlink()
    train(going_on, Invocation(run, common))
    assert (run / "checkpoint_final").is_dir()


def test_a_disk_that_fills_while_a_number_is_logged_is_one_error(small_disk: Path, cache: Path) -> None:
    """Of a file that is open already the system's error names none: the run's folder is named instead."""
    run = small_disk / "run"
    run.mkdir()
    full = Invocation(run, SMALL, on_first_step=lambda: fill(small_disk, 0))
    with pytest.raises(TrainingError, match=rf"{run}.*: No space left on device; make room or give access"):
        train(compose(*SMALL, f"data.cache={cache}", "trainer.max_steps=500", "trainer.save_every=0"), full)


@pytest.mark.slow
def test_two_runs_may_fill_one_cache_at_once(tmp_path: Path) -> None:
    shared = tmp_path / "cache"
    command = [sys.executable, "train.py", *SMALL, f"data.cache={shared}", "trainer.max_steps=1"]
    runs = [tmp_path / "one", tmp_path / "two"]
    processes = [
        subprocess.Popen(
            [*command, f"output={run}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for run in runs
    ]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    assert_same_tensors(*map(lora_of, runs))
    files = [p for p in shared.rglob("*") if p.is_file()]
    assert not [p for p in files if p.name.endswith(".partial")]
    for file in (p for p in files if p.suffix == ".safetensors"):
        with safe_open(file, framework="pt") as entry:
            assert list(entry.keys())
