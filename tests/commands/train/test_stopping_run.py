"""How a run ends before its last step, what it keeps, and that it goes on from there."""

import json
import logging
import shutil
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from spritelora.commands.train.ending import end_before_its_end
from spritelora.config.invocation import Invocation
from spritelora.errors import ResumeError, TimeUp
from spritelora.runs.sweep_record import JobStatus
from spritelora.sweeps.rows import find_entries, read_row
from spritelora.training.callbacks.checkpoints import checkpoint_step, newest_checkpoint, tidy_checkpoints
from spritelora.training.callbacks.stopping import Progress
from spritelora.training.state_files import write_state
from tests.composing import compose
from tests.conftest import assert_same_tensors, lora_of

SMALL = ("targets.modules=[attn2.to_v]", "trainer.batch_size=1", "validation.limit=1", "lora.save_dtype=fp32")
STATE = "training_state/state.safetensors"


def series(run: Path) -> dict[int, float]:
    return {int(s): x for s, x in summary(run)["series"]["validation_loss"] if s}


def summary(run: Path) -> dict:
    return json.loads((run / "training_metrics.json").read_text())


def checkpoints(run: Path) -> set[str]:
    return {p.name.removeprefix("checkpoint_") for p in run.glob("checkpoint_*")}


def test_patience_is_a_count_of_validations_without_improvement() -> None:
    """An improvement that is too small is the best so far, and does not end the wait."""
    progress, told = Progress(), []
    for step, loss in enumerate([1.0, 0.8, 0.75, 0.72, 0.69, 0.9], 1):
        told.append((progress.take(loss, step, 0.1), progress.waited))
    assert told == [(True, 0), (True, 0), (True, 1), (True, 2), (True, 0), (False, 1)]
    assert (progress.best_step, progress.best_loss) == (5, 0.69)


@pytest.mark.numeric
def test_a_run_that_gets_no_better_ends_with_its_best_and_can_go_on(
    train_quickly, caplog: pytest.LogCaptureFixture
) -> None:
    """At a rate that spoils the LoRA: the first validation is the best, and the run waits for two more."""
    caplog.set_level(logging.INFO)
    burning = (*SMALL, "optim.lr=0.3", "trainer.validate_every=1", "trainer.save_every=0", "trainer.ema=0.5")
    run = train_quickly(*burning, "trainer.patience=2", "trainer.sample_every=5", "trainer.max_steps=20")
    losses = series(run)
    best, last = min(losses, key=losses.__getitem__), max(losses)
    assert last == best + 2 < 20
    assert f"ended at step {last} of 20: no better validation loss in 2 validations" in caplog.text
    assert f"checkpoint_best is of step {best}: validation loss {losses[best]:.4f}" in caplog.text
    assert checkpoints(run) == {"best", "final", f"step_{last}"}
    assert checkpoint_step(run / "checkpoint_final") == best
    assert_same_tensors(load_file(run / "checkpoint_best" / STATE), load_file(run / "checkpoint_final" / STATE))
    told = summary(run)
    assert (told["status"], told["stopped_early_at"], told["result_step"]) == ("finished", last, best)
    assert told["best"] == {"step": best, "validation_loss": losses[best]}
    assert list((run / "samples" / f"step_{best:06d}").glob("*.png"))
    row = read_row(find_entries([str(run)], [])[0], None)
    assert (row.cells["status"], row.cells["validation_loss"]) == ("finished", losses[best])

    with pytest.raises(
        ResumeError, match=rf"ended at step {last}, .*; to go on: trainer.patience=4, or trainer.patience=0"
    ):
        train_quickly(*burning, "trainer.patience=2", "trainer.max_steps=20", f"resume={run}")
    train_quickly(*burning, "trainer.patience=0", f"trainer.max_steps={last + 1}", f"resume={run}")
    whole = train_quickly(*burning, f"trainer.max_steps={last + 1}", name="whole")
    assert_same_tensors(load_file(whole / "checkpoint_final" / STATE), load_file(run / "checkpoint_final" / STATE))


def test_the_last_and_the_best_are_kept_and_what_a_person_made(train_quickly) -> None:
    """And the average of the weights is what is exported."""
    keeping = (
        *SMALL,
        "trainer.keep_last=2",
        "trainer.keep_best=true",
        "trainer.save_every=1",
        "trainer.validate_every=2",
    )
    run = train_quickly(*keeping, "trainer.ema=0.9", "trainer.max_steps=2")
    for name in ("checkpoint_step_1_mine", "checkpoint_step_777"):
        shutil.copytree(run / "checkpoint_step_1", run / name)
    train_quickly(*keeping, "trainer.ema=0.9", "trainer.max_steps=6", f"resume={run}")
    assert checkpoints(run) == {"step_5", "step_6", "final", "best", "step_1_mine", "step_777"}
    losses = series(run)
    assert checkpoint_step(run / "checkpoint_best") == min(losses, key=losses.__getitem__)
    assert not list(run.glob(".checkpoint*"))
    state = load_file(run / "checkpoint_final" / STATE)
    ups = {n: t for n, t in state.items() if n.endswith("lora_B.default.weight")}
    averages, trained = (
        [t for n, t in ups.items() if n.startswith(start)] for start in ("/callbacks/Average", "/state_dict")
    )
    exported = [t for n, t in lora_of(run).items() if n.endswith("lora_up.weight")]
    assert len(exported) == len(averages) == len(trained)
    assert all(any(t.equal(a) for a in averages) for t in exported)
    assert not any(any(t.equal(w) for w in trained) for t in exported)


def test_a_time_limit_ends_in_a_checkpoint_to_go_on_from(
    train_quickly, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "limited"
    caplog.set_level(logging.INFO)
    with pytest.raises(SystemExit) as ended:
        train_quickly(*SMALL, "trainer.save_every=0", "trainer.max_steps=5000", "trainer.max_time=1s", name="limited")
    assert ended.value.code == 124
    assert f"stopped at the time limit of 1s; to go on: python train.py resume={run}" in caplog.text
    step = summary(run)["step"]
    assert (summary(run)["status"], checkpoints(run)) == ("stopped", {f"step_{step}"})
    longer = (*SMALL, f"trainer.max_steps={step + 1}")
    train_quickly(*longer, "trainer.max_time=1d", f"resume={run}", name="limited")
    whole = train_quickly(*longer, name="whole")
    assert_same_tensors(lora_of(whole), lora_of(run))


def test_a_job_of_a_sweep_at_its_time_limit_lets_the_others_be(tmp_path: Path) -> None:
    config = compose("trainer.max_time=45m")
    with pytest.raises(TimeUp, match="stopped at the time limit of 45m") as ended:
        end_before_its_end(config, Invocation(tmp_path, sweep="friday"), 124)
    assert JobStatus(ended.value.job_status) is JobStatus.stopped
    with pytest.raises(SystemExit):
        end_before_its_end(config, Invocation(tmp_path, sweep="friday"), 128 + signal.SIGTERM)


@pytest.mark.slow
def test_a_checkpoint_starts_a_new_run_with_the_best_so_far(train_quickly, caplog: pytest.LogCaptureFixture) -> None:
    """A copy of it; where it is gone, the best is looked for anew, and the run says so."""
    keeping = (*SMALL, "trainer.keep_best=true", "trainer.validate_every=1", "optim.lr=0.3", "trainer.save_every=1")
    run = train_quickly(*keeping, "trainer.max_steps=3")
    best = summary(run)["best"]
    assert best["step"] < 3
    origin = f"resume={run / 'checkpoint_step_3'}"
    branch = train_quickly(*keeping, origin, "trainer.max_steps=4", name="branch")
    assert summary(branch)["best"] == best
    assert_same_tensors(load_file(run / "checkpoint_best" / STATE), load_file(branch / "checkpoint_best" / STATE))
    shutil.rmtree(run / "checkpoint_best")
    anew = train_quickly(*keeping, origin, "trainer.max_steps=4", name="anew")
    assert (
        f"the checkpoint of step {best['step']}, which had the lowest validation loss so far, is not there"
        in caplog.text
    )
    assert checkpoint_step(anew / "checkpoint_best") == 4


def test_a_kill_between_two_names_loses_no_checkpoint(tmp_path: Path) -> None:
    for name, step in (
        (".checkpoint_best.replaced", 1), (".checkpoint_step_2.partial", 2),
        (".checkpoint_step_3.replaced", 3), ("checkpoint_step_3", 4), (".checkpoint_step_4.removed", 5),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(str(step))
    tidy_checkpoints(tmp_path)
    assert {p.name: (p / "file").read_text() for p in tmp_path.iterdir()} == {
        "checkpoint_best": "1",
        "checkpoint_step_3": "4",
    }


def test_of_two_checkpoints_of_a_step_the_later_one_is_the_newest(tmp_path: Path) -> None:
    for name in ("checkpoint_step_5", "checkpoint_best", "checkpoint_step_4"):
        state = tmp_path / name / "training_state"
        write_state({"global_step": 4 if name.endswith("4") else 5}, state)
        (state / "run.json").touch()
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint_step_5"
