"""Several processes train the LoRA that one process trains, started by torchrun or by hand."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spritelora.commands.train.record import check_resumable
from spritelora.commands.train.start import restoring
from spritelora.config.train.processes import Place
from spritelora.errors import ConfigError, ResumeError
from spritelora.runs.record import RunRecord
from tests.bounds import assert_same_function, rounding
from tests.conftest import QUICK, ROOT, assert_same_tensors, lora_of, run_train
from tests.records import a_record

ONE = ("hardware.threads=1", "trainer.batch_size=2", "trainer.accumulate=2", "lora.save_dtype=fp32", "lora.dropout=0.1")
TWO = (*ONE, "trainer.accumulate=1", "hardware.devices=2")


def numbers(run: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def assert_same_losses(ours: Path, theirs: Path) -> None:
    for name in ("loss", "validation_loss", "validation_loss_0_500"):
        assert_same_function(numbers(ours, name), numbers(theirs, name), torch.float32)


@pytest.mark.numeric
def test_two_processes_train_what_one_trains_and_one_goes_on(train_quickly, tmp_path: Path) -> None:
    """Equal to the bit where a forward pass is as large: two processes for two accumulated passes, then one."""
    one = train_quickly(*ONE, "trainer.max_steps=4", name="one")
    parts = tmp_path / "parts"
    settings = (*QUICK, *TWO, "trainer.max_steps=2", f"data.cache={tmp_path / 'cache'}", f"output={parts}")
    told = run_train(*settings)
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("2 processes x batch 2 = 4 sprites a step; the learning rate is not scaled\n") == 1
    assert told.stderr.count("encoding 6 sprites at 128 px\n") == 1
    assert len(list((tmp_path / "cache" / "latents").rglob("*.safetensors"))) == 12
    assert told.stdout == ""
    assert told.stderr.count("| 0/2 [") == 1
    logged = [line.partition(" INFO ")[2] for line in (parts / "train.log").read_text().splitlines()]
    shown = told.stderr.replace("\r", "\n").split("\n")
    assert [line for line in shown if line and not line.startswith("training:")] == logged
    train_quickly(*ONE, "hardware.devices=1", f"resume={parts}", "trainer.max_steps=4", name="parts")
    assert_same_tensors(lora_of(one), lora_of(parts))
    # The weights are equal to the bit; of a loss the mean is taken in another order.
    assert numbers(one, "loss") == pytest.approx(numbers(parts, "loss"), rel=rounding(6))


def as_recorded(batch_size: int, accumulate: int, devices: int, num_nodes: int) -> RunRecord:
    settings = {
        "trainer": {"batch_size": batch_size, "accumulate": accumulate},
        "hardware": {"devices": devices, "num_nodes": num_nodes},
    }
    return a_record(settings=settings)


@pytest.mark.parametrize("now", [(8, 2, 1, 1), (2, 2, 4, 1), (1, 1, 8, 2), (16, 1, 1, 1)])
def test_a_run_goes_on_with_any_processes_that_take_as_many_sprites_a_step(now: tuple[int, int, int, int]) -> None:
    check_resumable(Path("run"), as_recorded(4, 2, 2, 1), as_recorded(*now))


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ((4, 2, 1, 1), "4 x 2 x 2 -> 4 x 2 x 1; for 16 sprites a step as before give trainer.batch_size=8"),
        ((4, 2, 4, 2), "4 x 2 x 2 -> 4 x 2 x 8; for 16 sprites a step as before give trainer.batch_size=1"),
        ((4, 3, 1, 1), "4 x 2 x 2 -> 4 x 3 x 1; for 16 sprites a step as before give other numbers"),
    ],
)
def test_another_number_of_sprites_a_step_does_not_go_on(now: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ResumeError) as error:
        check_resumable(Path("run"), as_recorded(4, 2, 2, 1), as_recorded(*now))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("told", "raised"),
    [("[pair.cc:534] gloo: Connection closed by peer", RuntimeError), ("size mismatch for lora_A", ResumeError)],
)
def test_a_lost_process_is_no_fault_of_a_checkpoint(tmp_path: Path, told: str, raised: type[Exception]) -> None:
    with pytest.raises(Exception, match=told.partition(": ")[2] or told) as error, restoring(tmp_path, lambda: False):
        raise RuntimeError(told)
    assert type(error.value) is raised


def test_more_gpus_than_there_are_is_a_mistake_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from spritelora.training import hardware

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"hardware.devices=4: torch sees 1 GPU here"):
        hardware._take_own_gpu(Place(size=4, local_size=4))


def torchrun(num: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num}", "train.py"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_process_that_waits_for_another_obeys_signals(
    tmp_path: Path, cache: Path, number: signal.Signals, status: int
) -> None:
    """The first of two, started as torchrun does, whose second never comes; it leaves no checkpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    arguments = (*QUICK, f"data.cache={cache}", f"output={tmp_path / 'run'}")
    process = subprocess.Popen(
        [sys.executable, "train.py", *arguments], cwd=ROOT, env={**os.environ, **place},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while socket.socket().connect_ex(("127.0.0.1", port)):  # it is met there
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(number)
    began = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    assert time.monotonic() - began < 5
    assert "Traceback" not in output
    assert not list((tmp_path / "run").glob("checkpoint_*"))


@pytest.mark.slow
def test_torchrun_trains_the_same_lora(tmp_path: Path, cache: Path, train_quickly) -> None:
    run_dir = tmp_path / "torchrun"
    steps = ("trainer.accumulate=1", "trainer.max_steps=3")
    result = torchrun(2, *QUICK, *ONE, *steps, f"data.cache={cache}", f"output={run_dir}")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("done in") == 1
    assert_same_tensors(lora_of(train_quickly(*TWO, *steps, name="two")), lora_of(run_dir))
    assert json.loads((run_dir / "run.json").read_text())["settings"]["hardware"]["devices"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["lora.rnk=8"], "did you mean 'lora.rank'?"), (["targets.modules=[to_z]"], "targets.modules: to_z matches no")],
)
def test_what_is_wrong_in_all_processes_is_told_once(
    tmp_path: Path, cache: Path, arguments: list[str], message: str
) -> None:
    result = torchrun(2, *QUICK, f"data.cache={cache}", f"output={tmp_path / 'run'}", *arguments)
    assert result.returncode != 0
    assert result.stderr.count("error: ") == 1
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fifty_steps_of_two_processes_equal_fifty_of_one(train_quickly) -> None:
    """To the bit with as many sprites a pass; with twice as many, which rounds differently, in their losses."""
    same = ("trainer.max_steps=50", "lora.dropout=0", "optim.lr=1e-4")
    two = train_quickly(*TWO, *same, "trainer.batch_size=4", name="two")
    accumulated = train_quickly(*ONE, *same, "trainer.batch_size=4", name="accumulated")
    assert_same_tensors(lora_of(accumulated), lora_of(two))
    one = train_quickly(*ONE, *same, "trainer.accumulate=1", "trainer.batch_size=8", name="one")
    assert_same_losses(one, two)


@pytest.mark.slow
def test_four_processes_start_and_finish(train_quickly) -> None:
    run = train_quickly(*TWO, "hardware.devices=4", "trainer.batch_size=1", "trainer.max_steps=3")
    assert (run / "checkpoint_final").is_dir()
