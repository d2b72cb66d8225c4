"""What a run settles by its set: steps, and prompts of the samples: typed, of the run gone on from, else the set's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.train.first_look import show_training_set
from spritelora.commands.train.start import settle_prompts, settle_steps
from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import read_training_set
from spritelora.errors import ConfigError
from spritelora.runs.record import RunRecord
from spritelora.sprites.folder.sprite_folder import training_image
from tests.composing import compose
from tests.conftest import ROOT

NO_STEPS = ("steps=auto", "trainer.batch_size=2", "trainer.fewest_steps=1")
BEFORE = ROOT / "tests" / "runs" / "before" / "plain"


def test_without_prompts_half_are_trained_on_and_half_held_out(sprite_folder: Path) -> None:
    config = compose("trainer.max_steps=1")
    assert config.sampler.prompts == []
    sprites = read_training_set(DataConfig(path=str(sprite_folder), holdout=0.4), 128)
    known, unseen = ({s.caption for s in part} for part in (sprites.training, sprites.held_out))
    prompts = settle_prompts(config, sprites).sampler.prompts
    assert len(prompts) == len(set(prompts)) == 4
    assert set(prompts[:2]) <= known
    assert set(prompts[2:]) <= unseen - known
    assert settle_prompts(config, sprites).sampler.prompts == prompts
    alone = read_training_set(DataConfig(path=str(sprite_folder), holdout=0), 128)
    assert len(set(settle_prompts(config, alone).sampler.prompts)) == 4


def test_typed_prompts_and_those_of_the_run_gone_on_from_stay(sprite_folder: Path) -> None:
    config = compose("sampler.prompts=a lion")
    sprites = read_training_set(DataConfig(path=str(sprite_folder)), 128)
    assert settle_prompts(config, sprites).sampler.prompts == ["a lion"]
    resumed = replace(compose(), resume=str(BEFORE))
    recorded = RunRecord.read(BEFORE).settings.sampler.prompts
    assert recorded
    assert settle_prompts(resumed, sprites).sampler.prompts == recorded


def test_steps_are_passes_over_the_set_within_their_bounds(
    sprite_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sprites = read_training_set(DataConfig(path=str(sprite_folder), holdout=0), 128)
    assert len(sprites.training) == 12

    def steps(*more: str) -> int:
        return settle_steps(compose(*NO_STEPS, *more), sprites).trainer.max_steps

    assert steps() == 75 * 12 // 2
    assert "75 passes over the set are 450 steps" in caplog.text
    assert steps("trainer.passes=10", "trainer.accumulate=3") == 20
    assert steps("trainer.fewest_steps=500") == 500
    assert "kept to 500 by trainer.fewest_steps" in caplog.text
    assert steps("trainer.most_steps=100") == 100
    assert steps("trainer.max_steps=7") == 7
    alike = replace(sprites, viewed=[replace(v, sprite=replace(v.sprite, subject="hero")) for v in sprites.viewed])
    assert settle_steps(compose(*NO_STEPS), alike).trainer.max_steps == 38
    with pytest.raises(ConfigError, match=r"fewest_steps=9 is more than trainer\.most_steps=8: change"):
        steps("trainer.fewest_steps=9", "trainer.most_steps=8")


def test_sprites_are_shown_as_training_sees_them(sprite_folder: Path, tmp_path: Path) -> None:
    """16 native pixels in the middle of the sheet's tile, whose colours are theirs and the background's alone."""
    sprites = read_training_set(DataConfig(path=str(sprite_folder), holdout=0), 256)
    show_training_set(sprites, tmp_path / "new" / "look.png")
    sheet = np.asarray(Image.open(tmp_path / "new" / "look.png"))
    canvas = training_image(sprites.training[0], sprites.matte)[8::16, 8::16]
    tile = np.repeat(np.repeat(canvas, 12, axis=0), 12, axis=1)
    assert any((sheet[top : top + 192, 4:196] == tile).all() for top in range(len(sheet) - 192))
