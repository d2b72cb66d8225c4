"""What jobs of one process share, and that no job can tell."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spritelora.adapters.layers.lora import add_lora, match_targets
from spritelora.commands.train.frozen import Frozen
from spritelora.commands.train.train import train
from spritelora.config.invocation import Invocation
from spritelora.errors import ConfigError, TrainingError
from spritelora.sdxl.files.base import load_unet
from spritelora.training.hardware import choose_hardware
from tests.composing import compose
from tests.conftest import QUICK, assert_same_tensors, lora_of


@pytest.fixture
def hardware():
    config = compose()
    return choose_hardware(config.hardware.device, config.hardware.precision)


def test_the_unet_of_every_job_is_the_bases_to_the_bit(base, hardware) -> None:
    frozen = Frozen()
    frozen.use_base(base, hardware)
    first = frozen.unet(base, hardware)
    add_lora(first, match_targets(first, ["to_q", "conv1"]), 4, 4.0, 0.1, seed=0)
    first.train().enable_gradient_checkpointing()
    second, alone = frozen.unet(base, hardware), load_unet(base, torch.float32)
    assert [n for n, _ in second.named_modules()] == [n for n, _ in alone.named_modules()]
    assert (second.training, second.is_gradient_checkpointing) == (alone.training, False)
    assert not [p for p in second.parameters() if p.requires_grad]
    assert_same_tensors(dict(second.state_dict()), dict(alone.state_dict()))
    ours = dict(first.named_parameters())["mid_block.resnets.0.conv1.base_layer.weight"]
    assert ours.data_ptr() == second.get_submodule("mid_block.resnets.0.conv1").weight.data_ptr(), "one memory"


def test_a_part_is_kept_while_its_key_is_equal(base, hardware) -> None:
    frozen, made = Frozen(), iter(range(9))
    frozen.use_base(base, hardware)
    parts = [frozen.part("x", key, lambda: next(made)) for key in ("a", "a", "b", "a")]
    assert parts == [0, 0, 1, 2]
    frozen.use_base(base, hardware)
    assert frozen.part("x", "a", lambda: next(made)) == 2
    config = compose("hardware.precision=bf16")
    frozen.use_base(base, choose_hardware(config.hardware.device, config.hardware.precision))
    assert frozen.part("x", "a", lambda: next(made)) == 3


JOB = ("lora.rank=4", "lora.dropout=0.1", "trainer.max_steps=2", "trainer.sample_every=2")
CHECKPOINTED = ("lora.rank=16", "targets=wide", "hardware.gradient_checkpointing=true", "trainer.sample_every=2")
DIVERGING = ("optim.lr=1e30", "trainer.clip_norm=0", "trainer.max_steps=9")


@pytest.mark.slow
def test_a_job_after_others_gives_what_it_gives_alone(cache: Path, tmp_path: Path) -> None:
    """After one of another rank, targets and threads, one that failed before training and one that failed in it."""

    def job(name: str, overrides: tuple[str, ...], sweep: str | None = "sweep") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        overrides = (*QUICK, f"data.cache={cache}", "trainer.max_steps=1", *overrides)
        train(compose(*overrides), Invocation(folder, overrides, sweep))
        return folder

    threads = torch.get_num_threads()
    job("0", (*CHECKPOINTED, "hardware.threads=2"))
    assert torch.get_num_threads() == threads
    with pytest.raises(ConfigError, match=r"lora.rank=4096 is above 128, the largest rank that a"):
        job("1", ("lora.rank=4096",))
    assert not list((tmp_path / "1").iterdir())
    with pytest.raises(TrainingError, match="the loss became"):
        job("2", DIVERGING)
    after, alone = job("3", JOB), job("alone", JOB, sweep=None)
    assert_same_tensors(lora_of(after), lora_of(alone))
    for run in (after, alone):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses = [{k: v for k, v in x.items() if "loss" in k} for x in lines]
        assert losses[0]["validation_loss"] > 0
        (images,) = {tuple(p.name for p in (run / "samples" / f"step_{s:06d}").iterdir()) for s in (0, 2)}
        pixels = [np.asarray(Image.open(run / "samples" / f"step_{s:06d}" / images[0])) for s in (0, 2)]
        summary = json.loads((run / "training_metrics.json").read_text())["samples"]
        if run is after:
            expected = losses, pixels, summary
    assert losses == expected[0]
    assert all(np.array_equal(a, b) for a, b in zip(pixels, expected[1], strict=True))
    assert summary == expected[2]
    assert 0 < summary["palette_distance"] < 1
    assert 0 < summary["colour_distance"] < 1
    assert "copy_distance" not in summary
