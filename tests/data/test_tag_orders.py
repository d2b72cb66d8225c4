"""Captions in several orders: which there are, which is shown, and a run over them."""

from collections import Counter
from dataclasses import replace
from math import factorial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from spritelora.config.train.data_keys import AugmentConfig, DataConfig
from spritelora.data.batch import training_batch
from spritelora.data.encoded import EncodedSet
from spritelora.data.training_set import read_training_set
from spritelora.errors import ConfigError, ResumeError
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.captions.made_captions import split_phrases, tag_orders
from tests.conftest import assert_same_tensors, lora_of
from tests.data.test_data import encoded_set

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("num_phrases", [1, 2, 4, 6, 9, 12])
@pytest.mark.parametrize("num_kept", [0, 1, 3])
@pytest.mark.parametrize("most", [2, 4, 64])
def test_orders_are_distinct_bounded_and_of_the_same_phrases(num_phrases: int, num_kept: int, most: int) -> None:
    phrases = [f"phrase {i:02d}" for i in range(num_phrases)]
    orders = tag_orders(", ".join(phrases), num_kept, most)
    assert orders[0] == ", ".join(phrases)
    assert len(orders) == len(set(orders)) == min(most, factorial(max(0, num_phrases - num_kept)))
    for order in orders:
        assert split_phrases(order)[:num_kept] == phrases[:num_kept]
        assert sorted(split_phrases(order)) == phrases
    assert tag_orders(", ".join(phrases), num_kept, most) == orders


def test_equal_phrases_make_no_other_order_and_the_caption_stays_as_written() -> None:
    assert tag_orders("pixel art,  red, red", 1, 4) == ["pixel art,  red, red"]
    assert tag_orders("a ,b", 0, 4) == ["a ,b", "b, a"]


def shuffled_set(num_orders: int) -> EncodedSet:
    def numbered(value: float) -> TextEmbedding:
        return TextEmbedding(torch.full((77, 8), value), torch.full((4,), value))

    return EncodedSet([
        replace(s, views=[replace(s.views[0], texts=[numbered(i + k / 10) for k in range(num_orders)])])
        for i, s in enumerate(encoded_set(7).sprites)
    ])  # fmt: skip


def test_orders_are_shown_equally_often_whatever_the_batch_and_move_no_other_draw() -> None:
    encoded = shuffled_set(4)
    whole = training_batch(encoded, 0, range(2800), 1000)
    shown = whole.states[:, 0, 0]
    assert torch.equal(shown.floor().int(), whole.indices.int())
    assert torch.equal(whole.pooled[:, 0], shown)
    counts = Counter(((shown - shown.floor()) * 10).round().int().tolist())
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(abs(n - 700) < 5 * (2800 * 3 / 16) ** 0.5 for n in counts.values())  # five standard deviations
    single = torch.cat([training_batch(encoded, 0, [p], 1000).states for p in range(30)])
    assert torch.equal(single, whole.states[:30])
    plain = training_batch(shuffled_set(1), 0, range(2800), 1000)
    for field in set(plain._fields) - {"states", "pooled"}:
        assert torch.equal(getattr(plain, field), getattr(whole, field)), field


def test_orders_are_of_the_caption_that_is_true_of_the_variant(sprite_folder: Path) -> None:
    for file in sprite_folder.glob("*.txt"):
        file.write_text("pixel art, knight, facing left, red cape")
    data = DataConfig(path=str(sprite_folder), augment=AugmentConfig(flip=True))
    assert {len(view.captions) for s in read_training_set(data, 128).viewed for view in s.views} == {1}
    for sprite in read_training_set(replace(data, shuffle_tags=True), 128).viewed:
        assert len(sprite.views) == 2
        for view in sprite.views:
            side = "facing right" if view.variant.flip else "facing left"
            phrases = [sorted(split_phrases(caption)) for caption in view.captions]
            assert phrases == [[side, "knight", "pixel art", "red cape"]] * 4


def test_captions_without_tags_are_refused(sprite_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.shuffle_tags=true: no caption has two .* such as 'pixel art, potion"):
        read_training_set(DataConfig(path=str(sprite_folder), shuffle_tags=True), 128)


@pytest.mark.slow
def test_a_shuffled_run_resumes_exactly_and_says_so(train_quickly) -> None:
    shuffled = ("data.shuffle_tags=true", "data.keep_tags=0", "trainer.accumulate=2")
    whole = train_quickly(*shuffled, "trainer.max_steps=3", name="whole")
    parts = train_quickly(*shuffled, "trainer.max_steps=1", name="parts")
    train_quickly(*shuffled, f"resume={parts}", "trainer.max_steps=3", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    with safe_open(whole / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        assert (file.metadata()["ss_shuffle_caption"], file.metadata()["ss_keep_tokens"]) == ("True", "0")
    with pytest.raises(ResumeError, match=r"data\.caption_variants: 4 -> 3"):
        train_quickly(*shuffled, "data.caption_variants=3", f"resume={parts}", "trainer.max_steps=4", name="x")
