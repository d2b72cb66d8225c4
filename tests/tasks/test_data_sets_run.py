"""A run on several sets with regularisation images: what it is told, what it tells, and that it goes on exactly."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open

from spritelora.config.data_keys import SetConfig
from spritelora.config.resume import read_record
from spritelora.errors import ResumeError
from tests.conftest import assert_same_tensors, lora_of
from tests.tasks.test_data_sets import images, two

__all__ = ["images", "two"]

EVERYTHING = (
    "data.limit=null",
    "data.regularisation.every=2",
    "data.regularisation.weight=0.3",
    "data.augment.flip=true",
    "data.shuffle_tags=true",
    "data.keep_tags=0",
    "data.caption_dropout=0.5",
    "objective.masked_loss=true",
    "trainer.accumulate=2",
)


def test_a_mixed_run_resumes_exactly_and_says_what_it_was(
    train_quickly, two: dict[str, SetConfig], images: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO")
    sets = [f"data.sets.{name}.{key}={value}" for name, s in two.items() for key, value in vars(s).items()]
    typed = (*EVERYTHING, *sets, f"data.regularisation.path={images}")
    whole = train_quickly(*typed, "trainer.max_steps=3", name="whole")
    parts = train_quickly(*typed, "trainer.max_steps=1", name="parts")
    moved = shutil.move(images, tmp_path / "moved")  # folders may change, what is in them may not
    there = f"data.regularisation.path={moved}"
    train_quickly(*typed, there, f"resume={parts}", "trainer.max_steps=3", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    # 3 steps of 4 samples, 2 of 3 of them sprites: 8 sprites seen of 11, of which 7 are drawn twice a pass
    assert "passes over each of 11" in caplog.text
    with safe_open(whole / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        facts = file.metadata()
    assert (facts["ss_num_reg_images"], facts["ss_prior_loss_weight"], facts["ss_num_train_images"]) == (
        "3",
        "0.3",
        "11",
    )
    assert json.loads(facts["ss_dataset_dirs"])["mine"]["n_repeats"] == 2
    assert "photograph" not in facts["ss_tag_frequency"]
    assert read_record(whole)["data"]["num_regularisation"] == 3
    refused = {
        "data.regularisation.weight=1": r"data\.regularisation\.weight: 0\.3 -> 1\.0",
        "data.sets.theirs.weight=2": r"data\.sets\.theirs\.weight: 0\.5 -> 2\.0",
        "data.regularisation.path=null": r"data\.regularisation\.path: the images or captions are not those",
    }
    for change, message in refused.items():
        with pytest.raises(ResumeError, match=message):
            train_quickly(*typed, there, change, f"resume={parts}", "trainer.max_steps=4", name="x")


def test_what_regularises_moves_the_lora_by_its_weight(train_quickly, sprite_folder: Path, images: Path) -> None:
    typed = (
        f"data.path={sprite_folder}",
        f"data.regularisation.path={images}",
        "trainer.max_steps=2",
        "trainer.batch_size=1",
    )
    loras = [lora_of(train_quickly(*typed, f"data.regularisation.weight={w}", name=f"w{w}")) for w in ("1", "1e-6")]
    different = [name for name in loras[0] if not loras[0][name].equal(loras[1][name])]
    assert different
