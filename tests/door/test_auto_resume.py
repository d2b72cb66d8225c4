"""`resume=auto` goes on with the newest run of the same configuration, and starts one where there is none."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import QUICK
from tests.documents import run_in

SHOWN = ("--cfg", "job")
RUNS = Path("outputs", "train")


def auto(folder: Path, *overrides: str) -> tuple[int, str]:
    outcome = run_in(folder, ["python", "train.py", "resume=auto", *overrides])
    return outcome.status, outcome.printed


def finished(run: Path) -> Path:
    (run / "checkpoint_final").mkdir()
    return run


@pytest.fixture(scope="module")
def recorded(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The record of a run of two steps that `resume=auto` has started where there was none."""
    folder = tmp_path_factory.mktemp("auto")
    status, printed = auto(folder, *QUICK, f"data.cache={cache}", "trainer.max_steps=2", "lora.rank=4")
    assert status == 0, printed
    assert "resume=auto: no run in outputs/train has this configuration: training starts anew" in printed
    (run,) = (folder / RUNS).iterdir()
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["resume"] is None
    status, printed = auto(folder, *QUICK, f"data.cache={cache}", "trainer.max_steps=3", "lora.rank=4")
    assert status == 0, printed
    assert f"resume=auto: {RUNS / run.name} goes on" in printed
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if "loss" in x] == [1, 2, 3]
    return record


def write_run(run: Path, record: dict, age_s: int, **trainer: object) -> Path:
    run.mkdir(parents=True)
    settings = {**record["settings"], "trainer": {**record["settings"]["trainer"], **trainer}}
    (run / "run.json").write_text(json.dumps({**record, "settings": settings}))
    then = (run / "run.json").stat().st_mtime - age_s
    os.utime(run / "run.json", (then, then))
    return run


@pytest.fixture
def typed(recorded: dict) -> list[str]:
    return [o for o in recorded["overrides"] if not o.startswith(("resume", "output"))]


def test_the_newest_of_the_same_configuration_is_taken(recorded: dict, typed: list[str], tmp_path: Path) -> None:
    """Keys that may change are no difference; damaged records and other configurations are passed over."""
    write_run(tmp_path / RUNS / "old", recorded, 30)
    write_run(tmp_path / RUNS / "same", recorded, 20, save_every=7)
    write_run(tmp_path / RUNS / "other", recorded, 10, clip_norm=9.0)
    write_run(tmp_path / RUNS / "damaged", recorded, 0)
    (tmp_path / RUNS / "damaged" / "run.json").write_text("{")
    status, printed = auto(tmp_path, *typed, *SHOWN)
    assert status == 0, printed
    assert f"resume: {RUNS / 'same'}" in printed
    assert "passed over: " in printed
    assert "damaged/run.json: not a run record" in printed


def test_a_finished_run_is_done_with_unless_more_steps_are_asked_for(
    recorded: dict, typed: list[str], tmp_path: Path
) -> None:
    finished(write_run(tmp_path / RUNS / "done", recorded, 0))
    status, printed = auto(tmp_path, *typed, *SHOWN)
    assert status == 0
    assert "the newest run of this configuration, is finished: training starts anew" in printed
    assert "resume: null" in printed
    _, printed = auto(tmp_path, *typed, "trainer.max_steps=9", *SHOWN)
    assert f"resume: {RUNS / 'done'}" in printed


def test_the_folder_that_output_names_goes_on(recorded: dict, typed: list[str], tmp_path: Path) -> None:
    """One command for the first start and every other, as a queue repeats it."""
    run = tmp_path / "mine"
    (run / ".hydra").mkdir(parents=True)  # what a start leaves that was killed before it had a record
    (run / "train.log").write_text("")
    status, printed = auto(tmp_path, *typed, f"output={run}", *SHOWN)
    assert status == 0, printed
    assert f"{run} holds no run yet: training starts anew" in printed
    assert (run / "train.log").exists(), "nothing was run"
    shutil.rmtree(run)
    write_run(run, recorded, 0)
    _, printed = auto(tmp_path, *typed, f"output={run}", *SHOWN)
    assert f"resume: {run}" in printed
    status, printed = auto(tmp_path, *typed, "lora.rank=5", f"output={run}", *SHOWN)
    assert status == 1
    assert f"error: {run} holds a run of another configuration\n  lora.rank: 4 -> 5\n" in printed


def test_a_sweep_is_named(tmp_path: Path) -> None:
    status, printed = auto(tmp_path, "-m", "lora=rank8,rank16")
    assert status == 2
    assert "resume=auto goes on with one run; for a sweep name its folder" in printed
