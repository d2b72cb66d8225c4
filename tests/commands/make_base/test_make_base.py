"""The whole way from nothing to a folder with a card, with next to no training."""

from pathlib import Path

import pytest
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from spritelora.commands.make_base.make_base import make_base
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.embedded.location import known_canvases


@pytest.mark.slow
def test_the_folder_is_written_measured_and_described(tmp_path: Path) -> None:
    config = MakeBaseConfig(
        output=str(tmp_path / "base"),
        work=str(tmp_path / "work"),
        num_sprites=64,
        num_steps=1,
        batch_size=2,
        judge_steps=1,
        samples_per_pair=1,
        sampling_steps=1,
    )
    make_base(config)
    assert known_canvases(tmp_path / "base") == [(128, 128)]
    card = (tmp_path / "base" / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert '"num_images": 180' in card
    StableDiffusionXLPipeline.from_pretrained(tmp_path / "base")
