"""Runs that are killed at random moments, most of them while a checkpoint is written: all go on, to the same bits."""

import json
from pathlib import Path

import pytest

from spritelora.runs.record import RunRecord
from tests.commands.killing import OVERRIDES
from tests.conftest import assert_same_tensors, lora_of
from tests.running import run_python


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_is_the_run_that_never_was(
    kills: int, tmp_path: Path, cache: Path, train_quickly, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "killed"
    result = run_python("-m", "tests.commands.killing", run, cache, str(kills), "1")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201
    assert not told["problems"], told["problems"][0]
    last = told["step"] + 1
    train_quickly(*OVERRIDES, f"resume={run}", f"trainer.max_steps={last}", name="killed")
    whole = train_quickly(*OVERRIDES, "trainer.save_every=0", f"trainer.max_steps={last}", name="whole")
    assert_same_tensors(lora_of(whole), lora_of(run))
    assert not list(run.glob(".checkpoint_*"))
    assert len(list(run.glob("checkpoint_step_*"))) <= 3
    assert RunRecord.read(run).settings.trainer.keep_last == 3
    steps = [
        line["step"] for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "loss" in line
    ]
    assert steps == list(range(1, last + 1))
