"""A run's processes that torchrun starts: they stop together, none is lost without a word, none is left behind."""

import json
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from torch.distributed.elastic.multiprocessing.errors import ErrorHandler, ProcessFailure

from spritelora.config.invocation import Invocation
from spritelora.door.torchrun import _end_of, hand_over
from spritelora.errors import ConfigError, LostConnection, Pruned, TimeUp, TrainingError
from spritelora.runs.sweep_record import JobStatus, read_job
from tests.commands.train.test_distributed import ONE, TWO, numbers
from tests.commands.train.test_resume import start_run, wait_for
from tests.composing import compose
from tests.conftest import QUICK, assert_same_tensors, lora_of, run_train
from tests.running import Process

LOST = LostConnection("the connection was lost")


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes what torchrun tells of a process that ended with a status, and with an error where one is given."""

    def make(rank: int, status: int, error: Exception | None = None) -> ProcessFailure:
        file = tmp_path / f"{rank}.json"
        file.unlink(missing_ok=True)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
        if error is not None:
            ErrorHandler().record_exception(error)
        return ProcessFailure(rank, 1, status, str(file))

    return make


@pytest.mark.parametrize(
    ("status", "how"), [(-9, "by SIGKILL"), (-15, "by SIGTERM"), (3, "with exit status 3"), (1, "with exit status 1")]
)
def test_a_lost_process_is_named_with_the_way_on(tmp_path: Path, failed, status: int, how: str) -> None:
    """Whatever torchrun makes of the others then, and whether those have noticed."""
    for others in ({}, {0: failed(0, 1, LOST)}, {2: failed(2, -15), 0: failed(0, -9)}):
        failures = {1: failed(1, status), **others}
        assert str(_end_of(failures, 3, tmp_path)) == f"process 1 of 3 ended {how}; start the run again"
    assert "process 1 of 3" in str(_end_of({0: failed(0, 1, LOST), 1: failed(1, status)}, 3, tmp_path))
    (tmp_path / "run.json").write_text("{}")
    told = str(_end_of({1: failed(1, status)}, 3, tmp_path))
    assert told == f"process 1 of 3 ended {how}; to go on: python train.py resume={tmp_path}"


@pytest.mark.parametrize("error", [ConfigError("a: b"), Pruned("at step 3"), TimeUp("stopped"), TrainingError("full")])
def test_an_error_is_what_the_process_has_left(tmp_path: Path, failed, error: ConfigError) -> None:
    """The first process's own where several have one: theirs say whose they are."""
    theirs = type(error)(f"process 1: {error}")
    for failures in (
        {0: failed(0, 1, error), 1: failed(1, 1, LOST)},
        {1: failed(1, 1, theirs), 0: failed(0, 1, error)},
    ):
        told = _end_of(failures, 2, tmp_path)
        assert (type(told), str(told)) == (type(error), str(error))
    told = _end_of({1: failed(1, 1, theirs), 0: failed(0, 143)}, 2, tmp_path)
    assert (type(told), str(told)) == (type(error), str(theirs))


def test_where_all_have_lost_the_others_it_is_said(tmp_path: Path, failed) -> None:
    assert str(_end_of({1: failed(1, 1, LOST), 0: failed(0, 1, LOST)}, 2, tmp_path)) == str(LOST)


@pytest.mark.parametrize("status", [124, 130, 143])
def test_a_stop_has_the_first_process_s_status(tmp_path: Path, failed, status: int) -> None:
    told = _end_of({0: failed(0, status), 1: failed(1, -15)}, 2, tmp_path)
    assert isinstance(told, SystemExit)
    assert told.code == status


def test_processes_that_cannot_be_started_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingError, match=r"hardware\.devices=2: .*No such file.*take hardware\.devices=1"):
        hand_over(compose("hardware.devices=2"), Invocation(tmp_path))
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_all_processes_find_is_said_once(tmp_path: Path) -> None:
    result = run_train("hardware.devices=2", f"data.path={tmp_path / 'none'}", f"output={tmp_path / 'run'}")
    assert (result.returncode, result.stderr.count("error: ")) == (1, 1)
    assert "data.path" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def processes_of(launcher: Process) -> list[psutil.Process]:
    """The processes that torchrun has started, by rank."""
    return sorted(psutil.Process(launcher.pid).children(), key=lambda p: int(p.environ()["RANK"]))


def started_run(run_dir: Path, cache: Path) -> tuple[Process, list[psutil.Process]]:
    """A run of two processes that is past its first checkpoint, and its processes."""
    settings = {o.partition("=")[0]: o for o in (*TWO, "trainer.max_steps=5000", "trainer.save_every=2")}
    launcher = start_run(run_dir, cache, *settings.values())
    wait_for(run_dir / "checkpoint_step_2", launcher)
    return launcher, processes_of(launcher)


def newest_step(run_dir: Path) -> int:
    return max(int(p.name.rpartition("_")[2]) for p in run_dir.glob("checkpoint_step_*"))


def assert_ended(processes: list[psutil.Process]) -> None:
    assert psutil.wait_procs(processes, timeout=20)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_which_goes_on(tmp_path: Path, cache: Path, train_quickly, rank: int) -> None:
    run_dir = tmp_path / "killed"
    launcher, processes = started_run(run_dir, cache)
    processes[rank].kill()
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 1, output
    assert output.count("error:") == 1
    assert f"error: process {rank} of 2 ended by SIGKILL; to go on: python train.py resume={run_dir}" in output
    assert "Traceback" not in output
    assert "torch/" not in output, "torchrun's own log"
    assert_ended(processes)
    assert not (run_dir / "checkpoint_final").exists()
    assert rank == 0 or not list(run_dir.glob(".*.partial"))
    more = (*ONE, "trainer.save_every=2", f"trainer.max_steps={newest_step(run_dir) + 2}")
    train_quickly(*more, "hardware.devices=1", f"resume={run_dir}", f"data.cache={cache}", name="killed")
    assert_same_tensors(lora_of(train_quickly(*more, name="whole")), lora_of(run_dir))


@pytest.mark.slow
def test_a_process_that_is_killed_before_it_comes_is_named(tmp_path: Path, cache: Path) -> None:
    launcher = start_run(tmp_path / "killed", cache, *TWO)
    while len(psutil.Process(launcher.pid).children()) < 2 or "RANK" not in processes_of(launcher)[1].environ():
        assert launcher.poll() is None
        time.sleep(0.05)
    processes = processes_of(launcher)
    processes[1].kill()
    output, _ = launcher.communicate(timeout=60)
    assert "error: process 1 of 2 ended by SIGKILL; start the run again" in output
    assert (launcher.returncode, output.count("error:")) == (1, 1)
    assert_ended(processes)


@pytest.mark.slow
def test_the_processes_end_with_the_one_that_started_them(tmp_path: Path, cache: Path) -> None:
    launcher, processes = started_run(tmp_path / "killed", cache)
    launcher.kill()
    output, _ = launcher.communicate(timeout=60)
    way_on = f"to go on: python train.py resume={tmp_path / 'killed'}"
    assert f"error: the process that started this run has ended; {way_on}" in output
    assert_ended(processes)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("told", ["launcher", "first", "other", "all"])
def test_a_signal_to_any_process_stops_all_after_the_step(
    tmp_path: Path, cache: Path, number: signal.Signals, status: int, told: str
) -> None:
    run_dir = tmp_path / "stopped"
    launcher, processes = started_run(run_dir, cache)
    named = {"launcher": launcher, "first": processes[0], "other": processes[1]}
    for process in named.values() if told == "all" else [named[told]]:
        process.send_signal(number)
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == status, output
    assert f"to go on: python train.py resume={run_dir}" in output
    assert "error" not in output
    assert "torch/" not in output, "torchrun's own log"
    assert_ended(processes)
    metrics = json.loads((run_dir / "training_metrics.json").read_text())
    assert (metrics["status"], metrics["step"]) == ("stopped", newest_step(run_dir))
    assert numbers(run_dir, "step")[-1] == newest_step(run_dir)


@pytest.mark.slow
def test_a_stop_waits_for_a_step_that_takes_longer_than_torchrun_waits(tmp_path: Path, cache: Path) -> None:
    """One process stands still for 35 s; torchrun by itself would kill all after 30 s."""
    run_dir = tmp_path / "stopped"
    launcher, processes = started_run(run_dir, cache)
    processes[1].suspend()
    launcher.send_signal(signal.SIGTERM)
    time.sleep(35)
    assert all(process.is_running() for process in processes)
    processes[1].resume()
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 143, output
    metrics = json.loads((run_dir / "training_metrics.json").read_text())
    assert (metrics["status"], metrics["step"]) == ("stopped", newest_step(run_dir))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_the_first_step_ends_all_at_once(
    tmp_path: Path, cache: Path, number: signal.Signals, status: int
) -> None:
    """While the processes import their libraries, and a second later."""
    for wait_s in (0, 1):
        launcher = start_run(tmp_path / "run", cache, *TWO)
        while len(psutil.Process(launcher.pid).children()) < 2:
            assert launcher.poll() is None
            time.sleep(0.02)
        time.sleep(wait_s)
        processes = psutil.Process(launcher.pid).children()
        launcher.send_signal(number)
        output, _ = launcher.communicate(timeout=30)
        assert launcher.returncode == status, output
        assert output.count("interrupted") == (number == signal.SIGINT)
        assert "Traceback" not in output
        assert_ended(processes)
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_jobs_of_a_sweep_have_their_processes(tmp_path: Path, cache: Path) -> None:
    """One fails in all of its processes, and is a row as any; the next one trains."""
    asked = (*QUICK, *TWO, f"data.cache={cache}", "trainer.max_steps=1", "lora.rank=4096,8", f"output={tmp_path / 's'}")
    done = run_train("-m", *asked)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 2, "the job's, and the sweep's"
    failed, finished = (read_job(tmp_path / "s" / number) for number in "01")
    assert failed is not None
    assert finished is not None
    assert (failed.status, finished.status) == (JobStatus.failed, JobStatus.finished)
    assert "lora.rank=4096 is above 128" in (failed.error or "")
    assert finished.first_step_s is not None
    assert 0 < finished.first_step_s < finished.elapsed_s
    assert "2 processes x batch 2" in (tmp_path / "s" / "1" / "train.log").read_text()


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, train_quickly, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a $folder"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    run = train_quickly(*TWO, "trainer.max_steps=1")
    assert (run / "checkpoint_final").is_dir()
    assert list(folder.iterdir()) == []
