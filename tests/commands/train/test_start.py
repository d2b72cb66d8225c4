"""Prompts of the samples: as typed, as the run gone on from had them, else captions of the set."""

from dataclasses import replace
from pathlib import Path

from spritelora.commands.train.start import settle_prompts
from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import read_training_set
from spritelora.runs.record import RunRecord
from tests.composing import compose
from tests.conftest import ROOT

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
