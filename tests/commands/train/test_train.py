"""Training runs from sprites to a LoRA: what is written, that it learns, and what stops it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from spritelora.commands.train.train import train
from spritelora.config.invocation import Invocation
from spritelora.errors import DatasetError
from spritelora.runs.record import RunRecord
from tests.commands.conftest import train_short
from tests.composing import compose
from tests.conftest import QUICK, ROOT, assert_same_tensors, draw_sprite, lora_of, run_train
from tests.running import run_python
from tests.wandb_records import read_records

DCSS = ROOT.parent / "shared" / "data" / "dcss"


def test_a_run_directory_holds_what_the_contract_says(train_quickly) -> None:
    run = train_quickly(
        "trainer.max_steps=4", "trainer.save_every=2", "trainer.sample_every=2", "trainer.validate_every=2"
    )
    assert {p.name for p in run.glob("checkpoint_*")} == {"checkpoint_step_2", "checkpoint_step_4", "checkpoint_final"}
    for checkpoint in run.glob("checkpoint_*"):
        assert {p.name for p in checkpoint.iterdir()} == {"lora.safetensors", "training_state"}
        assert not [p for p in checkpoint.rglob("*") if p.suffix in (".pt", ".ckpt", ".bin", ".pkl")]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if "loss" in x] == [1, 2, 3, 4]
    assert [x["step"] for x in lines if "validation_loss" in x] == [0, 2, 4]
    assert {"loss", "lr", "step_time_s", "images_per_s", "data_wait_share", "peak_gb"} <= set(lines[1])
    metrics = json.loads((run / "training_metrics.json").read_text())
    assert (metrics["status"], metrics["step"]) == ("finished", 4)
    assert [s[0] for s in metrics["series"]["validation_loss_0_500"]] == [0, 2, 4]
    for step in (0, 2, 4):
        (image,) = (run / "samples" / f"step_{step:06d}").glob("*.png")
        assert Image.open(image).size == (128, 128)
    assert Image.open(run / "samples" / "contact_sheet.png").size == (96 + 3 * 128 + 12 + 128, 20 + 128)
    record = RunRecord.read(run)
    assert record.settings.lora.rank == 8
    assert (record.data.num_training, record.data.num_held_out) == (11, 1)
    assert not list(run.glob(".*partial"))
    assert any((run / "csv").iterdir())
    with safe_open(run / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        assert (file.metadata()["ss_steps"], file.metadata()["ss_network_dim"]) == ("4", "8")


@pytest.mark.numeric
def test_it_learns_and_two_runs_are_the_same_run(
    short_run: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the second of them encodes nothing."""
    caplog.set_level("INFO")
    again = train_short(tmp_path / "again", cache)
    assert "trainable parameters" in caplog.text
    assert "encoding" not in caplog.text
    series = json.loads((again / "training_metrics.json").read_text())["series"]["validation_loss"]
    assert series[-1][1] < 0.9 * series[0][1]
    assert_same_tensors(lora_of(short_run), lora_of(again))


def assert_trained(run: Path) -> None:
    """Its LoRA changes something, by finite numbers."""
    assert all(torch.isfinite(t).all() for t in lora_of(run).values())
    assert any(t.any() for name, t in lora_of(run).items() if "lora_up" in name)


def test_checkpointing_and_16_bit_train_too(train_quickly) -> None:
    saving = ("hardware.precision=bf16", "hardware.gradient_checkpointing=true", "lora.dropout=0.1")
    assert_trained(train_quickly("trainer.max_steps=2", *saving))


@pytest.mark.numeric
def test_gradient_checkpointing_changes_nothing(train_quickly) -> None:
    fp32 = ("trainer.max_steps=2", "lora.dropout=0.1", "hardware.precision=fp32")
    runs = [train_quickly(*fp32, f"hardware.gradient_checkpointing={on}", name=on) for on in ("false", "true", "0.5")]
    assert_trained(runs[0])
    for run in runs[1:]:
        assert_same_tensors(lora_of(run), lora_of(runs[0]))


def test_v_prediction_and_offset_and_min_snr_train(train_quickly) -> None:
    run = train_quickly(
        "trainer.max_steps=2",
        "model.prediction=v_prediction",
        "objective.noise_offset=0.05",
        "weighting=min_snr",
        "schedule=cosine",
        "schedule.warmup_steps=1",
    )
    assert (run / "checkpoint_final").is_dir()


def test_tensorboards_files_are_in_the_run(train_quickly) -> None:
    run = train_quickly("trainer.max_steps=2", "trainer.sample_every=2", "logger=tensorboard")
    assert any((run / "tensorboard").iterdir())


@pytest.mark.numeric
@pytest.mark.parametrize("kind", [pytest.param("items", marks=pytest.mark.slow), "monsters"])
@pytest.mark.skipif(not DCSS.is_dir(), reason="the real sprites of ../shared/data are not here")
def test_real_sprites_train(train_quickly, kind: str) -> None:
    all_of_them = (f"data.path={DCSS / kind}", "data.limit=null")
    run = train_quickly(*all_of_them, "trainer.max_steps=6", "trainer.batch_size=4", "optim.lr=0.01")
    record = RunRecord.read(run)
    assert (record.data.num_training, record.data.num_held_out) == (108, 12)
    series = json.loads((run / "training_metrics.json").read_text())["series"]["validation_loss"]
    assert series[-1][1] < series[0][1]


def test_bad_sprites_stop_the_run_before_anything_is_written(sprite_folder: Path, tmp_path: Path) -> None:
    (sprite_folder / "sprite_01.txt").unlink()
    (sprite_folder / "sprite_05.png").write_bytes(b"")
    run_dir = tmp_path / "run"
    result = run_train(
        f"data.path={sprite_folder}", f"output={run_dir}", f"data.cache={tmp_path / 'cache'}", ready="door"
    )
    assert result.returncode == 1
    assert "sprite_01.txt: missing" in result.stderr
    assert "\nerror: " in result.stderr
    assert "Traceback" not in result.stderr
    assert not run_dir.exists()
    assert not (tmp_path / "cache").exists()


def test_a_model_that_is_not_sdxl_stops_the_run_before_anything_is_written(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "sd15").mkdir()
    (tmp_path / "sd15" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    result = run_train(f"model.path={tmp_path / 'sd15'}", f"output={tmp_path / 'run'}", f"data.cache={cache}")
    assert result.returncode == 1
    assert "holds a StableDiffusionPipeline, not SDXL" in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_unreadable_matte_is_a_mistake_of_configuration(tmp_path: Path, cache: Path) -> None:
    result = run_train("data.matte=red", f"output={tmp_path / 'run'}", f"data.cache={cache}")
    assert result.returncode == 2
    assert "data.matte: a colour is written #rrggbb, got 'red', or auto" in result.stderr


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, cache: Path) -> None:
    result = run_train(
        *QUICK, f"data.cache={cache}", f"output={tmp_path / 'run'}", "optim.lr=1e30", "trainer.clip_norm=0",
        "trainer.max_steps=50",
    )  # fmt: skip
    assert result.returncode == 1
    assert "the loss became" in result.stderr
    assert "a new run with a lower optim.lr" in result.stderr
    assert not (tmp_path / "run" / "checkpoint_final").exists()


def test_a_full_disk_ends_in_one_error(tmp_path: Path, cache: Path) -> None:
    """A file-size limit stands in for the full disk: writing the checkpoint fails in the same call."""
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)); "
        "sys.argv = sys.argv[1:]; runpy.run_path('train.py', run_name='__main__')"
    )
    command = ("train.py", *QUICK, f"data.cache={cache}", f"output={tmp_path / 'run'}")
    result = run_python("-c", limited, *command, "trainer.max_steps=2", "lora=rank64")
    assert result.returncode == 1, result.stderr
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "run").glob("checkpoint_*"))


def test_a_run_as_a_task_needs_no_hydra(tmp_path: Path, cache: Path, sprite_folder: Path) -> None:
    config = compose(*QUICK, f"data.cache={cache}", f"data.path={sprite_folder}", "trainer.max_steps=1")
    (tmp_path / "run").mkdir()
    assert train(config, Invocation(tmp_path / "run")) > 0
    config.data.path = str(tmp_path / "missing")
    with pytest.raises(DatasetError):
        train(config, Invocation(tmp_path / "run2"))


def test_few_sprites_train_without_a_hold_out(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(draw_sprite(i)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("pixel art, gem")
    config = compose(*QUICK, f"data.cache={cache}", f"data.path={folder}", "data.limit=null", "trainer.max_steps=1")
    (tmp_path / "run").mkdir()
    train(config, Invocation(tmp_path / "run"))
    assert RunRecord.read(tmp_path / "run").data.num_held_out == 0


@pytest.mark.slow
def test_a_sweep_gives_one_offline_run_for_each_job_in_one_group(tmp_path: Path, cache: Path) -> None:
    result = run_train(
        "-m", *QUICK, "logger=wandb", f"data.cache={cache}", "lora=rank16,rank8",
        "lr=lr1e-4,lr5e-5", "trainer.max_steps=2", "trainer.sample_every=2",
        env={k: v for k, v in os.environ.items() if not k.startswith("WANDB")} | {"NETRC": "/dev/null"}, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (sweep,) = (tmp_path / "multirun" / "train").iterdir()
    records = [RunRecord.read(sweep / str(job)) for job in range(4)]
    assert {(r.settings.lora.rank, r.settings.optim.lr) for r in records} == {
        (16, 1e-4), (16, 5e-5), (8, 1e-4), (8, 5e-5),
    }  # fmt: skip
    assert {r.sweep for r in records} == {sweep.name}
    files: list[Path] = []
    for job, record in enumerate(records):
        (folder,) = (sweep / str(job) / "wandb").glob("offline-run-*")
        (file,) = folder.glob("*.wandb")
        files.append(file)
        logged = read_records(file)
        (started,) = [r.run for r in logged if r.HasField("run")]
        assert (started.run_id, started.run_group) == (record.id, sweep.name)
        assert not started.host
        for content in (c for r in logged for c in r.artifact.manifest.contents):
            content.ClearField("local_path")  # never sent
        text = " ".join(map(str, logged))
        assert "validation_loss" in text
        assert list((folder / "files" / "media" / "images").glob("*.png"))
        for private in (os.uname().nodename, str(ROOT), str(tmp_path)):
            assert not re.search(rf"(?<!\w){re.escape(private)}(?!\w)", text)
    names = [next(r.run for r in read_records(f) if r.HasField("run")).display_name for f in files]
    assert [name.split()[2:4] for name in names] == [[a, b] for a in ("rank16", "rank8") for b in ("lr1e-4", "lr5e-5")]
    (command,) = set(re.findall("to upload all jobs: (wandb sync .+)", result.stderr))
    found = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m {command} --dry-run"], cwd=tmp_path, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("WANDB")},
    )  # fmt: skip
    assert "Would sync 4 run(s)" in found.stderr, found.stderr


def test_a_cache_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    result = run_train("data.cache=/proc/nowhere", f"output={tmp_path / 'run'}")
    assert result.returncode == 1
    assert "/proc/nowhere" in result.stderr
    assert "name other folders with output= and data.cache=" in result.stderr
    assert "Traceback" not in result.stderr


def test_one_prompt_twice_and_a_kill_while_sampling(train_quickly) -> None:
    run = train_quickly("trainer.max_steps=1", "trainer.sample_every=1", 'sampler.prompts=["a","a"]')
    assert len(list((run / "samples" / "step_000001").glob("*.png"))) == 2
    (run / "samples" / "step_000003").mkdir()
    train_quickly(f"resume={run}", "trainer.max_steps=2", "trainer.sample_every=1", 'sampler.prompts=["a","a"]')


def test_wandb_that_cannot_start_says_what_to_do(tmp_path: Path, cache: Path) -> None:
    overrides = ("logger=wandb", "logger.project=a/b", "trainer.max_steps=1")  # no name that W&B takes
    result = run_train(*QUICK, *overrides, f"data.cache={cache}", f"output={tmp_path / 'run'}")
    assert result.returncode == 1
    assert "W&B cannot start" in result.stderr
    assert "WANDB_MODE=offline" in result.stderr
    assert "Traceback" not in result.stderr
