"""A run's first line says what it trains on: which base, which sprites, and where they come from."""

import logging
from pathlib import Path

import pytest

from spritelora.commands.train.inputs import inputs_line
from spritelora.commands.train.train import train
from spritelora.config.invocation import Invocation
from spritelora.errors import DatasetError
from tests.composing import compose


@pytest.mark.parametrize(
    ("typed", "base", "sprites"),
    [
        ([], "tiny-sdxl, the embedded base (model.path is unset)", "the demo set (data.path is unset)"),
        (
            ["model=sdxl", "data.path=art/mine"],
            "stabilityai/stable-diffusion-xl-base-1.0, from the Hugging Face hub",
            "art/mine",
        ),
        (["data.sets.a.path=x", "data.sets.b.path=y/z"], "tiny-sdxl, the embedded base", "a from x, b from y/z"),
    ],
)
def test_base_and_sprites_are_named(typed: list[str], base: str, sprites: str) -> None:
    line = inputs_line(compose(*typed))
    assert line.startswith(f"Base: {base}")
    assert line.endswith(f". Training set: {sprites}.")


def test_a_base_on_this_machine_is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pony.safetensors").touch()
    line = inputs_line(compose(f"model.path={tmp_path}/pony.safetensors"))
    assert line.startswith(f"Base: pony.safetensors in {tmp_path}. ")


def test_it_is_the_first_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(DatasetError):
        train(compose(f"data.path={tmp_path / 'gone'}"), Invocation(tmp_path))
    assert caplog.messages[0].startswith("Base: tiny-sdxl")
