"""A run that was stopped, killed or finished goes on as the same run, or says why it cannot."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spritelora.commands.export.export import find_checkpoint
from spritelora.errors import ConfigError, ResumeError
from spritelora.runs.resume import replay_overrides
from tests.composing import compose
from tests.conftest import QUICK, assert_same_tensors, lora_of, run_train
from tests.records import write_record
from tests.running import Process, Ready, start_python

RESUMABLE = (
    "lora=rank64", "optim=adamw8bit", "trainer.accumulate=3", "trainer.save_every=2", "lora.dropout=0.1",
    "trainer.ema=0.9", "data.shuffle_tags=true", "data.keep_tags=0", "data.caption_dropout=0.2",
)  # fmt: skip


@pytest.mark.numeric
def test_a_run_that_goes_on_equals_one_that_never_stopped(train_quickly) -> None:
    """Shorter, then longer by resume; accumulation, dropout and 8-bit states included."""
    settings = (*RESUMABLE, "trainer.accumulate=2", "trainer.save_every=1")
    whole = train_quickly(*settings, "trainer.max_steps=2", name="whole")
    parts = train_quickly(*settings, "trainer.max_steps=1", name="parts")
    record = json.loads((parts / "run.json").read_text())
    train_quickly(*settings, f"resume={parts}", "trainer.max_steps=2", name="parts")
    assert {p.name.removeprefix("checkpoint_") for p in parts.glob("checkpoint_*")} == {"step_1", "step_2", "final"}
    assert_same_tensors(lora_of(whole), lora_of(parts))
    state = "checkpoint_final/training_state/state.safetensors"
    assert_same_tensors(load_file(whole / state), load_file(parts / state))
    assert [d for d in load_file(whole / state).values() if d.dtype == torch.uint8]
    lines = [[json.loads(x) for x in (r / "metrics.jsonl").read_text().splitlines()] for r in (whole, parts)]
    losses = [[(x["step"], x["loss"]) for x in run if "loss" in x] for run in lines]
    assert losses[0] == losses[1]
    assert json.loads((parts / "run.json").read_text())["id"] == record["id"]


@pytest.mark.slow
def test_a_checkpoint_starts_a_new_run_that_goes_the_same_way(train_quickly) -> None:
    whole = train_quickly(*RESUMABLE, "trainer.max_steps=4", name="whole")
    branch = train_quickly(*RESUMABLE, f"resume={whole / 'checkpoint_step_2'}", "trainer.max_steps=4", name="branch")
    assert_same_tensors(lora_of(whole), lora_of(branch))
    assert json.loads((whole / "run.json").read_text())["id"] != json.loads((branch / "run.json").read_text())["id"]
    assert (whole / "checkpoint_final").is_dir()


def resumed(train_quickly, run: Path, *overrides: str) -> str:
    with pytest.raises(ResumeError) as error:
        train_quickly(f"resume={run}", *overrides, name=run.name)
    return str(error.value)


def test_a_resume_that_could_not_be_exact_is_refused(train_quickly, sprite_folder: Path) -> None:
    run = train_quickly("trainer.max_steps=2", f"data.path={sprite_folder}")
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    same = (f"data.path={sprite_folder}", "trainer.max_steps=4")
    message = resumed(train_quickly, run, *same, "lora=rank16", "optim.lr=1e-5")
    assert "lora.rank: 8 -> 16" in message
    assert "optim.lr: 0.004 -> 1e-05" in message
    assert "what may change is output, resume, data.path, data.sets.NAME.path, " in message
    (sprite_folder / "sprite_00.txt").write_text("pixel art, something else")
    assert "data.path: the sprites or captions are not those" in resumed(train_quickly, run, *same)
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_a_run_goes_on_from_the_weights_it_began_with_alone(train_quickly, base, tmp_path: Path) -> None:
    """The same folder with another UNet in it; a run from before weights were recorded goes on."""
    folder = Path(shutil.copytree(base.folder, tmp_path / "base"))
    run = train_quickly("trainer.max_steps=1", f"model.path={folder}")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_in.bias"] += 0.25
    save_file(weights, file, metadata={"format": "pt"})
    longer = (f"model.path={folder}", "trainer.max_steps=2")
    message = resumed(train_quickly, run, *longer)
    assert f"model.path: the weights in {folder} are not those that the run began with (unet); name the base" in message
    record = json.loads((run / "run.json").read_text())
    recorded = record["model"].pop("weights")
    (run / "run.json").write_text(json.dumps(record))
    train_quickly(f"resume={run}", *longer)
    now = json.loads((run / "run.json").read_text())["model"]["weights"]
    assert [part for part in recorded if recorded[part] != now[part]] == ["unet"]


def test_a_key_that_a_record_is_older_than_has_its_default(train_quickly) -> None:
    run = train_quickly("trainer.max_steps=1", "data.split=sprite")
    record = json.loads((run / "run.json").read_text())
    for section, name in (
        ("data", "augment"),
        ("data", "split"),
        ("lora", "dropout"),
        ("validation", "bands"),
    ):
        del record["settings"][section][name]
    (run / "run.json").write_text(json.dumps(record))
    same = ("trainer.max_steps=2", "data.split=sprite", "validation.bands=4")
    message = resumed(train_quickly, run, *same, "data.split=group", "lora.dropout=0.1")
    assert "data.split: sprite -> group\n" in message
    assert "lora.dropout: 0.0 -> 0.1\n" in message
    assert "augment" not in message
    train_quickly(f"resume={run}", *same)
    assert lora_of(run)


TWO_STEPS = ("trainer.max_steps=2", "trainer.save_every=1")
THREE_STEPS = ("trainer.max_steps=3", "trainer.save_every=1")


def test_a_run_that_is_complete_says_how_to_go_on(train_quickly, trained_once) -> None:
    run = trained_once(*TWO_STEPS)
    assert "is at step 2 of 2 already; to go on: trainer.max_steps=4" in resumed(train_quickly, run, *TWO_STEPS)


def test_a_damaged_newest_checkpoint_is_passed_over(
    train_quickly, trained_once, caplog: pytest.LogCaptureFixture
) -> None:
    whole, run = trained_once(*THREE_STEPS, name="whole"), trained_once(*THREE_STEPS)
    for name in ("checkpoint_final", "checkpoint_step_3"):
        state = run / name / "training_state" / "state.safetensors"
        state.write_bytes(state.read_bytes()[:1000])
    train_quickly(f"resume={run}", *THREE_STEPS, name="run")
    assert "passed over" in caplog.text
    assert "checkpoint_step_3" in caplog.text
    assert_same_tensors(lora_of(whole), lora_of(run))


@pytest.mark.parametrize("is_final", [False, True])
def test_a_checkpoint_of_another_run_is_not_gone_on_from(
    is_final: bool, train_quickly, trained_once, caplog: pytest.LogCaptureFixture
) -> None:
    whole, run = trained_once(*THREE_STEPS, name="whole"), trained_once(*THREE_STEPS)
    foreign = run / ("checkpoint_final" if is_final else "checkpoint_step_9")
    shutil.copytree(run / "checkpoint_step_2", foreign, dirs_exist_ok=True)
    record = foreign / "training_state" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "id": "another"}))
    state = foreign / "training_state" / "state.json"
    state.write_text(state.read_text().replace('["global_step", 2]', '["global_step", 9]'))
    shutil.rmtree(run / "checkpoint_step_3", ignore_errors=True)
    if is_final:
        with pytest.raises(ResumeError, match=r"checkpoint_final: a checkpoint of another run \(id another"):
            find_checkpoint(run)
    else:
        shutil.rmtree(run / "checkpoint_final")
    train_quickly(f"resume={run}", *THREE_STEPS, name="run")
    assert f"passed over: {foreign}: a checkpoint of another run (id another, and this run is " in caplog.text
    assert_same_tensors(lora_of(whole), lora_of(run))
    kept = run / ("damaged_checkpoint_final" if is_final else foreign.name)
    assert json.loads((kept / "training_state" / "run.json").read_text())["id"] == "another"


def test_a_run_without_its_last_act_is_finished(train_quickly, trained_once) -> None:
    """Killed between the last step's checkpoint and the final one."""
    whole, run = trained_once(*TWO_STEPS, name="whole"), trained_once(*TWO_STEPS)
    shutil.rmtree(run / "checkpoint_final")
    train_quickly(f"resume={run}", *TWO_STEPS, name="run")
    assert_same_tensors(lora_of(whole), lora_of(run))


def test_the_whole_one_of_two_checkpoints_of_a_step_is_kept(train_quickly, trained_once) -> None:
    whole, run = trained_once(*THREE_STEPS, name="whole"), trained_once(*TWO_STEPS)
    (run / "checkpoint_step_2" / "training_state" / "state.json").write_text("{")
    train_quickly(f"resume={run}", *THREE_STEPS, name="run")
    assert_same_tensors(lora_of(whole), lora_of(run))
    assert (run / "damaged_checkpoint_step_2").is_dir()


def test_a_sweep_job_that_goes_on_stays_in_its_sweep(train_quickly, trained_once) -> None:
    run = trained_once(*TWO_STEPS)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "sweep": "friday", "name": "rank 8"}))
    train_quickly(f"resume={run}", *THREE_STEPS)
    again = json.loads((run / "run.json").read_text())
    assert (again["id"], again["sweep"], again["name"]) == (record["id"], "friday", "rank 8")


def test_a_typed_group_replaces_the_recorded_keys_that_it_sets(tmp_path: Path) -> None:
    run = write_record(tmp_path / "run", "trainer.max_steps=20", "optim.lr=1e-4", "logger.project=mine", "seed=7")
    settled = replay_overrides([f"resume={run}", "steps=steps300", "lr=lr5e-5", "logger=csv"], is_multirun=False)
    assert settled[:1] == ["seed=7"]
    assert {"steps=steps300", "lr=lr5e-5", "logger=csv", f"output={run}"} <= set(settled)
    assert not [o for o in settled if o.startswith(("trainer.max_steps", "optim.lr", "logger.project"))]


def test_a_run_cannot_be_swept_over_or_sent_elsewhere(tmp_path: Path) -> None:
    run = write_record(tmp_path / "run")
    with pytest.raises(ConfigError, match="cannot sweep over it"):
        replay_overrides([f"resume={run}"], is_multirun=True)
    with pytest.raises(ConfigError, match="continues in that run's own folder"):
        replay_overrides([f"resume={run}", "output=elsewhere"], is_multirun=False)


@pytest.mark.parametrize("content", ["{", "[]", '{"overrides": []}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ResumeError, match=r"run\.json: not a run record"):
        replay_overrides([f"resume={tmp_path}"], is_multirun=False)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="neither a run folder"):
        replay_overrides([f"resume={tmp_path}"], is_multirun=False)


def start_run(run_dir: Path, cache: Path, *overrides: str, ready: Ready = "nothing") -> Process:
    arguments = [*QUICK, f"data.cache={cache}", f"output={run_dir}", *overrides]
    return start_python("train.py", *arguments, stderr=subprocess.STDOUT, ready=ready)


def wait_for(path: Path, process: Process, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_tensors(tmp_path: Path, cache: Path, train_quickly) -> None:
    overrides = (*RESUMABLE, "trainer.max_steps=8")
    killed = tmp_path / "killed"
    process = start_run(killed, cache, *overrides)
    wait_for(killed / "checkpoint_step_4", process)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "checkpoint_final").exists()
    result = run_train(f"resume={killed}")
    assert result.returncode == 0, result.stderr
    assert (killed / ".hydra" / "overrides.yaml").is_file()
    whole = train_quickly(*overrides, name="whole")
    assert_same_tensors(lora_of(whole), lora_of(killed))


@pytest.mark.parametrize(
    ("number", "status", "ready"), [(signal.SIGTERM, 143, "nothing"), (signal.SIGINT, 130, "torch")]
)
def test_a_stopped_run_saves_and_can_go_on(
    tmp_path: Path, cache: Path, number: signal.Signals, status: int, ready: Ready
) -> None:
    run_dir = tmp_path / "stopped"
    process = start_run(run_dir, cache, "trainer.max_steps=5000", "trainer.save_every=0", ready=ready)
    wait_for(run_dir / "metrics.jsonl", process)
    while len((run_dir / "metrics.jsonl").read_text().splitlines()) < 3:
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    assert f"to go on: python train.py resume={run_dir}" in output
    (checkpoint,) = run_dir.glob("checkpoint_*")
    step = int(checkpoint.name.rpartition("_")[2])
    metrics = json.loads((run_dir / "training_metrics.json").read_text())
    assert (metrics["status"], metrics["step"]) == ("stopped", step)


def test_a_run_that_is_being_written_is_not_resumed(tmp_path: Path, cache: Path) -> None:
    run_dir = tmp_path / "busy"
    process = start_run(run_dir, cache, "trainer.max_steps=5000", "trainer.save_every=1", ready="torch")
    try:
        wait_for(run_dir / "checkpoint_step_1", process)
        result = run_train(f"resume={run_dir}")
        assert result.returncode == 1
        assert "another process is writing this run" in result.stderr
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("optim", ["adamw", "adamw8bit"])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("targets", ["attention", "wide"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_forty_steps_equal_twenty_and_twenty(
    train_quickly, optim: str, accumulate: int, targets: str, precision: str
) -> None:
    settings = (
        "lora=rank64",
        f"optim={optim}",
        f"trainer.accumulate={accumulate}",
        f"targets={targets}",
        f"hardware.precision={precision}",
        "lora.dropout=0.1",
    )
    whole = train_quickly(*settings, "trainer.max_steps=40", name="whole")
    parts = train_quickly(*settings, "trainer.max_steps=20", name="parts")
    train_quickly(*settings, f"resume={parts}", "trainer.max_steps=40", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))


def test_a_base_written_in_another_way_is_the_same_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spritelora.commands.train.record import changed_settings
    from spritelora.config.plain import flatten, plain

    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    recorded, same, other = (
        dict(flatten(plain(compose(f"model.path={path}")))) for path in (tmp_path / "base", "./base/../base", "another")
    )
    assert changed_settings(recorded, same) == []
    assert changed_settings(recorded, other) == [f"model.path: {tmp_path / 'base'} -> another"]


def test_a_run_goes_on_with_as_many_threads_as_it_began(trained_once, caplog: pytest.LogCaptureFixture) -> None:
    """Other numbers add up in another order; where one is typed, the run says that it is not exact."""
    from spritelora.commands.train.start import settle_threads

    run = trained_once("trainer.max_steps=1", "lora.rank=2", "hardware.threads=3")
    assert json.loads((run / "run.json").read_text())["threads"] == 3
    assert settle_threads(compose("hardware.threads=2")) == 2
    assert settle_threads(compose(f"resume={run}")) == 3
    record = json.loads((run / "run.json").read_text())
    record["overrides"] = [o for o in record["overrides"] if not o.startswith("hardware")]
    (run / "run.json").write_text(json.dumps(record))
    assert settle_threads(compose(f"resume={run}")) == 3
    assert not caplog.text
    assert settle_threads(compose(f"resume={run}", "hardware.threads=1")) == 1
    assert "hardware.threads=1, and the run began with 3: its weights are not exactly" in caplog.text
    del record["threads"]
    (run / "run.json").write_text(json.dumps(record))
    assert settle_threads(compose(f"resume={run}")) is None
