"""The whole way from nothing to a folder with a card, with next to no training."""

from dataclasses import replace
from pathlib import Path

import pytest
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from spritelora.commands.make_base.make_base import make_base
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.embedded.location import known_canvases
from spritelora.errors import ConfigError, DatasetError, TrainingError
from tests.embedded.conftest import REAL_DATA, write_data


def settings(folder: Path) -> MakeBaseConfig:
    return MakeBaseConfig(
        data=str(folder / "data"),
        output=str(folder / "base"),
        work=str(folder / "work"),
        cells_a_step=256,
        num_steps=1,
        judge_steps=1,
        num_questions=8,
        num_images=8,
        sampling_steps=1,
    )


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real sprites are not in ../shared/data")
def test_the_folder_is_written_measured_and_described(tmp_path: Path) -> None:
    config = replace(settings(tmp_path), data=str(REAL_DATA))
    make_base(replace(config, processes=2, cells_a_step=3200))
    make_base(replace(config, only_figures=True))
    assert (128, 256) in (known_canvases(tmp_path / "base") or [])
    card = (tmp_path / "base" / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert '"drawn_num_images": 180' in card
    assert {file.name for file in (tmp_path / "work").glob("sheet_*.png")}
    StableDiffusionXLPipeline.from_pretrained(tmp_path / "base")


def test_figures_of_nothing_are_refused(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    with pytest.raises(TrainingError, match=r"work=.*no teaching_state.*train there first, without only_figures"):
        make_base(replace(settings(tmp_path), only_figures=True))


def test_a_step_has_a_sprite_for_each_process(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"processes=2: .*take cells_a_step=3200 or more, got 3199, or fewer"):
        make_base(replace(settings(tmp_path), processes=2, cells_a_step=3199))


def test_a_folder_without_its_lists_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data=.*no .*metadata\.jsonl.*give the folder that holds cc0"):
        make_base(settings(tmp_path))
