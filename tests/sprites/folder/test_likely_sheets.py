"""A sheet that trains as one sprite is named with the command that cuts it; sprites and prepared sets are not."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from spritelora.config.train.data_keys import DataConfig, SetConfig
from spritelora.data.training_set import read_training_set
from tests.sprites.sheets.made_sheets import draw_cutouts, lay_out, save


def test_captioned_sheets_are_named_once_for_a_run_with_the_command_that_cuts_them(
    tmp_path: Path, sprite_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (raw := tmp_path / "raw" / "heroes").mkdir(parents=True)
    for number in range(3):
        sheet = save(lay_out([*draw_cutouts(16, number)], 4), raw / f"hero{number}.png")
        sheet.with_suffix(".txt").write_text(f"pixel art, hero {number}")
    alone = DataConfig(path=str(raw.parent), holdout=0)
    sets = {"sheets": SetConfig(path=str(raw.parent)), "sprites": SetConfig(path=str(sprite_folder))}
    for config in (alone, replace(alone, path=None, sets=sets)):
        caplog.clear()
        read_training_set(config, 128)
        (said,) = [r.getMessage() for r in caplog.records if "seem to be sheets" in r.getMessage()]
        assert "heroes/hero0.png" in said
        assert f"input={raw.parent}" in said


def test_sprites_are_not_taken_for_sheets(sprite_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_training_set(DataConfig(path=str(sprite_folder)), 128)
    assert not caplog.records
