"""Sweeps from the command line: failures are rows, what is finished is kept, one table at the end."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from spritelora.config.invocation import Invocation
from spritelora.door.run_folder import claimed
from spritelora.door.sweep_launch import check_objective, end_sweep, run_job
from spritelora.errors import ConfigError, SpriteLoraError, TrainingError
from spritelora.runs.sweep_record import JobRecord, JobStatus, SweepRecord, now, read_job, write_job, write_sweep
from tests.composing import compose
from tests.conftest import QUICK, ROOT, assert_same_tensors, lora_of, run_train


@pytest.mark.slow
def test_a_sweep_with_an_impossible_job_is_stopped_and_goes_on(tmp_path: Path, cache: Path, train_quickly) -> None:
    go_on_after(signal.SIGTERM, 143, tmp_path, cache, train_quickly)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_sweep_that_was_killed_goes_on(number: int, status: int, tmp_path: Path, cache: Path, train_quickly) -> None:
    go_on_after(number, status, tmp_path, cache, train_quickly)


def go_on_after(number: int, status: int, tmp_path: Path, cache: Path, train_quickly) -> None:
    """Three jobs, the second impossible; the third is stopped half way, and the sweep started again."""
    sweep = tmp_path / "sweep"
    settings = (*QUICK, f"data.cache={cache}", "trainer.max_steps=24", "trainer.sample_every=24")
    asked = [*settings, "trainer.save_every=4", "lora.rank=4,4096,8", f"output={sweep}"]
    command = [sys.executable, "train.py", "-m", *asked]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 200
    while not (sweep / "2" / "checkpoint_step_4").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait() == status, process.communicate()[0]
    assert [s["status"] for s in rows(sweep)] == (
        ["finished", "stopped", "failed"] if status != -9 else ["finished", "waiting", "failed"]
    )
    first = {p: p.stat().st_mtime_ns for p in (sweep / "0").rglob("*") if p.is_file()}

    done = run_train(f"resume={sweep}") if status != 130 else run_train("-m", *asked)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 of 3 jobs did not finish: 1; to run them again: python train.py resume=" in done.stderr
    assert "goes on: 1 of 3 jobs are finished and are kept" in done.stdout
    assert "going on from step" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in (sweep / "0").rglob("*") if p.is_file()} == first
    table = rows(sweep)
    assert sorted(r["name"] for r in table[:2]) == ["0", "2"]
    assert float(table[0]["validation_loss"]) < float(table[1]["validation_loss"])
    assert (table[2]["status"], table[2]["lora.rank"]) == ("failed", "4096")
    assert "lora.rank=4096 is above 128" in table[2]["problem"]
    for row in table[:2]:
        assert 0 < float(row["palette_distance"]) < 1
        assert 0 < float(row["colour_distance"]) < 1
        assert float(row["step_time_s"]) > 0
        assert float(row["first_step_s"]) < float(row["time_s"])
    printed = done.stdout.partition("\nname ")[2].splitlines()[1:4]
    assert [line.split()[0] for line in printed] == [row["name"] for row in table], "best first"
    page = (sweep / "results.html").read_text()
    assert page.count("data:image/") == 2
    assert "lora.rank=4096 is above 128" in page
    recorded = json.loads((sweep / "results.json").read_text())
    assert recorded["objective"] == "validation_loss"
    assert f"lora.rank={table[0]['lora.rank']}" in recorded["jobs"][0]["overrides"]
    assert_same_tensors(
        lora_of(sweep / "2"), lora_of(train_quickly(*settings, "trainer.save_every=0", "lora.rank=8", name="alone"))
    )


@pytest.mark.slow
def test_a_job_that_is_out_of_memory_is_a_row_and_the_next_one_trains(tmp_path: Path, cache: Path) -> None:
    """By a real limit on this process's memory."""
    sweep = tmp_path / "sweep"
    asked = (*QUICK, f"data.cache={cache}", "trainer.max_steps=1", "trainer.batch_size=700,2", f"output={sweep}")
    shell = f"ulimit -v 2300000; exec {' '.join(repr(c) for c in [sys.executable, 'train.py', '-m', *asked])}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert [(r["trainer.batch_size"], r["status"]) for r in rows(sweep)] == [("2", "finished"), ("700", "failed")]
    assert "out of memory" in rows(sweep)[1]["problem"]
    assert "try trainer.batch_size=1" in rows(sweep)[1]["problem"]


def rows(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "results.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    jobs = [["lora=rank8", f"seed={n}"] for n in range(3)]
    write_sweep(folder, SweepRecord([], [], jobs, "validation_loss", now()))
    return folder


@pytest.fixture
def run(sweep: Path) -> Callable[..., float]:
    """Runs a task as job `number` of the sweep."""

    def run(task: Callable[..., Any], number: int = 0, stop_on_failure: bool = False) -> float:
        folder = sweep / str(number)
        folder.mkdir(exist_ok=True)
        raw = OmegaConf.create({"sweep": {"stop_on_failure": stop_on_failure}, "resume": None})
        call = Invocation(folder, ("lora=rank8", f"seed={number}"), "sweep")
        return run_job(task, raw, call, number, str, folder / ".hydra" / "resumed")

    return run


class Hopeless(SpriteLoraError):
    """Stands for a search that ends a run early."""

    job_status = "pruned"


def fail(error: BaseException) -> Callable[..., None]:
    def task(*_: Any) -> None:
        raise error

    return task


def succeed(_: Any, call: Invocation) -> None:
    call.on_first_step()
    (call.run_dir / "checkpoint_final").mkdir()


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (TrainingError("no room"), "failed", "no room"),
        (MemoryError(), "failed", "MemoryError: MemoryError"),
        (RuntimeError("can't\nallocate"), "failed", "RuntimeError: can't"),
        (Hopeless("loss 0.9 at step 4"), "pruned", "loss 0.9 at step 4"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_any_error_is_a_row_and_the_others_go_on(sweep: Path, run, error: Exception, status: str, told: str) -> None:
    assert run(fail(error), 0) != run(fail(error), 0), "not a number"
    run(succeed, 1)
    assert [(r["name"], r["seed"], r["status"], r["problem"]) for r in rows(sweep)] == [
        ("0", "0", status, told), ("1", "1", "finished", ""), ("2", "2", "waiting", "")
    ]  # fmt: skip
    job = read_job(sweep / "1")
    assert job is not None
    assert job.first_step_s is not None
    with pytest.raises(TrainingError, match=r"[12] of 3 jobs did not finish: "):
        end_sweep(sweep)


def test_the_rest_can_be_left_out_after_a_failure_until_the_sweep_goes_on(sweep: Path, run) -> None:
    run(fail(TrainingError("no room")), 0, stop_on_failure=True)
    run(succeed, 1, stop_on_failure=True)
    assert not (sweep / "1" / "checkpoint_final").exists()
    assert (rows(sweep)[1]["status"], rows(sweep)[1]["problem"]) == ("left_out", "job 0 failed (sweep.stop_on_failure)")
    write_sweep(sweep, SweepRecord([], [], [["seed=0"], ["seed=1"]], "validation_loss", now()))
    run(succeed, 1, stop_on_failure=True)
    assert rows(sweep)[1]["status"] == "finished"


def test_a_stop_ends_the_sweep_and_is_recorded(sweep: Path, run) -> None:
    with pytest.raises(SystemExit):
        run(fail(SystemExit(143)))
    assert rows(sweep)[0]["status"] == "stopped"


def test_what_is_over_is_not_run_again(sweep: Path, run) -> None:
    """Finished, finished but killed before that was written, and run by another process."""
    run(succeed, 0)
    (sweep / "0" / ".hydra" / "resumed").mkdir(parents=True)
    run(fail(TrainingError("run twice")), 0)
    assert [p.name for p in (sweep / "0").glob(".hydra/**")] == [".hydra"], "another start's files stay"
    (sweep / "1" / "checkpoint_final").mkdir(parents=True)
    run(fail(TrainingError("run twice")), 1)
    (sweep / "2").mkdir()
    running = JobRecord(2, [], JobStatus.running, now())
    write_job(sweep / "2", running)
    with claimed(sweep / "2"):
        run(fail(TrainingError("run twice")), 2)
    assert [r["status"] for r in rows(sweep)] == ["finished", "finished", "waiting"]
    assert read_job(sweep / "2") == running


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sweep.objective=validation_los"], "did you mean 'validation_loss'"),
        (
            ["sweep.objective=validation_loss_0_500"],
            "did you mean 'validation_loss_0_250'|did you mean 'validation_loss_",
        ),
        (["sweep.objective=beauty"], "the results have no such column: there are validation_loss, "),
        (["sweep.objective=palette_coverage"], "sweep.objective=palette_coverage is not better when smaller"),
        (["sweep.objective=halo", "trainer.sample_every=0"], "set trainer.sample_every above 0"),
    ],
)
def test_an_objective_that_no_job_will_have_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_objective(compose(*overrides))


def test_objectives_that_jobs_will_have_are_taken() -> None:
    for name in ("validation_loss", "validation_loss_250_500", "palette_distance", "step_time_s"):
        check_objective(replace(compose(f"sweep.objective={name}")))
