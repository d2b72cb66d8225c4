"""A run over variants goes on as exactly as any other, and a run keeps groups together."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.config.train.data_keys import AugmentConfig, DataConfig, Split
from spritelora.data.augment import Variant
from spritelora.data.training_set import read_training_set
from spritelora.errors import ResumeError
from tests.conftest import assert_same_tensors, lora_of

VARIED = ("data.augment.flip=true", "data.augment.shift=1", "data.augment.variants=3")


@pytest.mark.slow
def test_an_augmented_run_that_goes_on_equals_one_that_never_stopped(train_quickly, sprite_folder: Path) -> None:
    data = f"data.path={sprite_folder}"
    whole = train_quickly(*VARIED, data, "trainer.max_steps=4", name="whole")
    parts = train_quickly(*VARIED, data, "trainer.max_steps=2", name="parts")
    train_quickly(*VARIED, data, f"resume={parts}", "trainer.max_steps=4", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    with pytest.raises(ResumeError, match=r"data\.augment\.flip: True -> False"):
        train_quickly(data, "data.augment.flip=false", f"resume={parts}", "trainer.max_steps=6", name="parts")


def test_only_training_sprites_vary_and_off_means_as_drawn(sprite_folder: Path, caplog) -> None:
    caplog.set_level("INFO")
    off = read_training_set(DataConfig(path=str(sprite_folder)), 128)
    assert [[view.variant for view in s.views] for s in off.viewed] == [[Variant()]] * len(off.training)
    (sprite_folder / "sprite_03.txt").write_text("pixel art, knight facing left")
    augment = AugmentConfig(flip=True, turn=True, shift=2)
    varied = read_training_set(DataConfig(path=str(sprite_folder), augment=augment), 128)
    assert [s.name for s in varied.training] == [s.name for s in off.training]
    assert all(len(s.views) == 16 and s.views[0].variant == Variant() for s in varied.viewed)
    assert f"{16 * len(off.training)} variants of {len(off.training)} sprites" in caplog.text
    assert "1 sprites are not turned, for their captions name a direction" in caplog.text


def test_frames_of_a_character_are_held_out_together(sprite_folder: Path) -> None:
    for number, file in enumerate(sorted(sprite_folder.glob("*.png"))):
        turned = Image.fromarray(np.asarray(Image.open(file))[::-1])
        for frame, image in enumerate((Image.open(file), turned)):
            name = f"monster{'abcdefghijkl'[number]}_{frame}"
            image.save(sprite_folder / f"{name}.png")
            shutil.copy(file.with_suffix(".txt"), sprite_folder / f"{name}.txt")
        file.with_suffix(".txt").unlink()
        file.unlink()
    by_group = read_training_set(DataConfig(path=str(sprite_folder)), 128)
    assert [s.name[:-5] for s in by_group.held_out[::2]] == [s.name[:-5] for s in by_group.held_out[1::2]]
    by_sprite = read_training_set(DataConfig(path=str(sprite_folder), split=Split.sprite), 128)
    characters = [s.name[:-5] for s in by_sprite.held_out]
    assert len(by_sprite.held_out) == 2
    assert len(set(characters)) == 2
