"""A run on a quantised base, from its first step to a resumed one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spritelora.commands.train.train import train
from spritelora.config.invocation import Invocation
from spritelora.errors import ConfigError, ResumeError
from tests.composing import compose
from tests.conftest import QUICK

SMALL = ("model.resolution=64", "trainer.batch_size=1", "lora.rank=2", "trainer.save_every=1")


def run_in_folder(folder: Path, cache: Path, *more: str) -> Path:
    folder.mkdir()
    overrides = (*QUICK, *SMALL, f"data.cache={cache}", *more)
    train(compose(*overrides), Invocation(folder, overrides))
    return folder


def test_a_run_keeps_the_base_it_began_with(cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    two_steps = "trainer.max_steps=2"
    first = run_in_folder(tmp_path / "first", cache, "hardware.base=nf4", two_steps, "trainer.sample_every=2")
    record = json.loads((first / "run.json").read_text())
    assert record["settings"]["hardware"]["base"] == record["hardware"]["base"] == "nf4"
    assert record["settings"]["hardware"]["gradient_checkpointing"] is False
    assert "this base needs no saving" in record["hardware"]["chosen"]
    assert f"hardware.base=nf4 hardware.gradient_checkpointing=false ({record['hardware']['chosen']})" in caplog.text
    branch = f"resume={first / 'checkpoint_step_1'}"
    with pytest.raises(ResumeError, match=r"hardware.base: nf4 -> full"):
        run_in_folder(tmp_path / "other", cache, branch, "hardware.base=full", two_steps)
    left_open = ("hardware.base=auto", "hardware.gradient_checkpointing=true")
    again = run_in_folder(tmp_path / "again", cache, branch, *left_open, two_steps)
    assert json.loads((again / "run.json").read_text())["hardware"]["base"] == "nf4"
    one, other = (load_file(run / "checkpoint_final" / "lora.safetensors") for run in (first, again))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_says_why_nothing_is_saved(cache: Path, tmp_path: Path) -> None:
    run = run_in_folder(tmp_path / "run", cache, "trainer.max_steps=1")
    hardware = json.loads((run / "run.json").read_text())["hardware"]
    assert hardware["base"] == "full"
    assert hardware["chosen"].startswith("CPU, ")


@pytest.mark.slow
def test_a_compiled_run_goes_on_exactly_and_stays_near_the_uncompiled(cache: Path, tmp_path: Path) -> None:
    compiled = ("hardware.compile=true", "trainer.max_steps=4", "hardware.gradient_checkpointing=0.5")
    whole = run_in_folder(tmp_path / "whole", cache, *compiled, "trainer.sample_every=2")
    again = run_in_folder(tmp_path / "again", cache, *compiled, f"resume={whole / 'checkpoint_step_2'}")
    plain = run_in_folder(tmp_path / "plain", cache, "trainer.max_steps=4")
    one, other, eager = (load_file(r / "checkpoint_final" / "lora.safetensors") for r in (whole, again, plain))
    assert all(torch.equal(one[name], other[name]) for name in one)
    ups = [name for name in one if "lora_up" in name]
    distance = sum(float((one[n].float() - eager[n].float()).square().sum()) for n in ups)
    assert distance < 1e-4 * sum(float(eager[n].float().square().sum()) for n in ups)


def test_16_bits_beside_16_bit_arithmetic_are_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hardware\.base=half is 16 bits a weight beside fp32 arithmetic.*base=full"):
        run_in_folder(tmp_path / "run", cache, "hardware.base=half", "hardware.precision=bf16")
