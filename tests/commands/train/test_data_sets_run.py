"""A run on several sets with regularisation images: what it is told, what it tells, and that it goes on exactly."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from spritelora.config.train.data_keys import DataConfig, RegularisationConfig, SetConfig
from spritelora.config.train.schema import SamplerConfig
from spritelora.data.batch import training_batch
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder, Picture
from spritelora.data.encode_set import encode_all
from spritelora.data.training_set import read_training_set
from spritelora.errors import ResumeError
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel
from tests.commands.train.test_data_sets import images, two
from tests.conftest import assert_same_tensors, lora_of

__all__ = ["images", "two"]

EVERYTHING = (
    "data.limit=null",
    "data.regularisation.every=2",
    "data.regularisation.weight=0.3",
    "data.augment.flip=true",
    "data.shuffle_tags=true",
    "data.keep_tags=0",
    "data.caption_variants=2",
    "data.caption_dropout=0.5",
    "validation.bands=1",
    "objective.masked_loss=true",
    "trainer.accumulate=2",
)


@pytest.mark.slow
def test_a_mixed_run_resumes_exactly_and_says_what_it_was(
    train_quickly, two: dict[str, SetConfig], images: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO")
    sets = [f"data.sets.{name}.{key}={value}" for name, s in two.items() for key, value in vars(s).items()]
    typed = (*EVERYTHING, *sets, f"data.regularisation.path={images}")
    whole = train_quickly(*typed, "trainer.max_steps=2", name="whole")
    parts = train_quickly(*typed, "trainer.max_steps=1", name="parts")
    moved = shutil.move(images, tmp_path / "moved")  # folders may change, what is in them may not
    there = f"data.regularisation.path={moved}"
    train_quickly(*typed, there, f"resume={parts}", "trainer.max_steps=2", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    # 2 steps of 4 samples, 2 of 3 of them sprites
    assert "each of 11 sprites is seen" in caplog.text
    with safe_open(whole / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        facts = file.metadata()
    assert (facts["ss_num_reg_images"], facts["ss_prior_loss_weight"], facts["ss_num_train_images"]) == (
        "3",
        "0.3",
        "11",
    )
    assert json.loads(facts["ss_dataset_dirs"])["mine"]["n_repeats"] == 2
    assert "photograph" not in facts["ss_tag_frequency"]
    assert RunRecord.read(whole).data.num_regularisation == 3
    refused = {
        "data.regularisation.weight=1": r"data\.regularisation\.weight: 0\.3 -> 1\.0",
        "data.sets.theirs.weight=2": r"data\.sets\.theirs\.weight: 0\.5 -> 2\.0",
        "data.regularisation.path=null": r"data\.regularisation\.path: the images or captions are not those",
    }
    for change, message in refused.items():
        with pytest.raises(ResumeError, match=message):
            train_quickly(*typed, there, change, f"resume={parts}", "trainer.max_steps=3", name="x")


def test_what_is_encoded_is_what_was_read(
    base: BaseModel, cache: Path, two: dict[str, SetConfig], images: Path
) -> None:
    kept = RegularisationConfig(str(images), weight=0.3, every=2)
    sprites = read_training_set(DataConfig(sets=two, holdout=0, regularisation=kept), 128, masked=True)
    encoder = Encoder(base, Cache(cache), torch.device("cpu"))
    encoded = encode_all(encoder, sprites, SamplerConfig(steps=1, guidance=1, prompts=["pixel art, key"])).training
    assert (len(encoded), len(encoded.names), encoded.every) == (12, 15, 2)
    batch = training_batch(encoded, 0, range(12), 1000)
    assert batch.weights.tolist() == pytest.approx(
        [0.3 if i >= 12 else 1.0 if i < 8 else 0.5 for i in batch.indices.tolist()]
    )
    order = (batch.indices[2::3] - 12).tolist()
    assert sorted(order[:3]) == [0, 1, 2]
    latents = encoder.latents([Picture(s) for s in sprites.regularisation], sprites.matte)
    captions = [s.caption for s in sprites.regularisation]
    texts = encoder.texts(captions)
    assert torch.equal(batch.latents[2::3], torch.stack([latents[i] for i in order]))
    assert torch.equal(
        batch.pooled[2::3], torch.stack([texts[sprites.regularisation[i].caption].pooled for i in order])
    )
    assert batch.masks[2::3].min() == 1
    assert batch.masks[[i for i in range(12) if i % 3 != 2]].flatten(1).mean(dim=1).max() < 1
