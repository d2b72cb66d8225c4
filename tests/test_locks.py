"""A lock keeps one holder at a time, ends with its holder, and leaves what it guards alone."""

import signal
import time
from pathlib import Path

import pytest

from spritelora.door.run_folder import LOCK, RunInUse, claimed
from spritelora.errors import DatasetError
from spritelora.locks import LockedError, held, is_held
from spritelora.sprites.prepare import output_folder
from tests.documents import run_in
from tests.running import Process, start_python

HOLDER = """
import pathlib, sys, time
from spritelora.locks import held
with held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start_holder(file: Path, seconds: float) -> Process:
    process = start_python("-c", HOLDER, file, str(seconds), stderr=None, ready="door")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_has_one_holder_until_its_block_ends(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with held(file):
        assert is_held(file)
        with pytest.raises(LockedError), held(file):
            pass
        assert is_held(file), "whoever was refused has freed nothing"
    assert is_held(file) is False
    with held(file):
        pass


def test_a_lock_ends_with_a_killed_holder(tmp_path: Path) -> None:
    process = start_holder(tmp_path / ".lock", 60)
    assert is_held(tmp_path / ".lock")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert is_held(tmp_path / ".lock") is False


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    with start_holder(tmp_path / ".lock", 0.4) as process:
        started = time.monotonic()
        with held(tmp_path / ".lock", wait=True):
            assert time.monotonic() - started > 0.2
            assert process.wait() == 0


def test_a_question_makes_no_file(tmp_path: Path) -> None:
    assert is_held(tmp_path / "worker") is False
    assert is_held(tmp_path / "nowhere" / "worker") is None
    assert is_held(tmp_path) is None, "a folder is no lock"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_another_writes_is_refused(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(RunInUse, match="another process is writing this run"), claimed(tmp_path):
        pass


def test_the_journal_of_a_killed_run_keeps_its_lines(tmp_path: Path) -> None:
    """Also one that an earlier version wrote, which locked the journal itself."""
    journal = tmp_path / output_folder.JOURNAL
    journal.parent.mkdir()
    journal.write_text("abc a.png\n")
    with output_folder.claimed(tmp_path):
        assert journal.read_text() == "abc a.png\n"
        assert output_folder.read_ledger(tmp_path, output_folder.State()) == {"a.png": {"abc"}}
        with pytest.raises(DatasetError, match="another prepare is writing here"), output_folder.claimed(tmp_path):
            pass
    assert {f.name for f in journal.parent.iterdir()} <= {"journal", "lock"}


def test_whoever_does_not_hold_a_run_removes_nothing_of_it(tmp_path: Path) -> None:
    """Two runs of one second have one folder; the second finds nothing in it but the first one's lock."""
    run = tmp_path / "run"
    run.mkdir()
    with held(run / LOCK):
        named = "hydra.run.dir=new/../run"  # a folder that is there, and that nobody has named
        outcome = run_in(tmp_path, ["python", "scripts/prepare.py", "input=art", "output=set", named])
        assert is_held(run / LOCK)
    assert outcome.status == 1
    assert "another process is writing this run" in outcome.printed
