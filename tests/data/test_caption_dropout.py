"""Dropped captions: as often as asked, by position alone, and nothing else moves."""

from dataclasses import replace

import pytest
import torch

from spritelora.data.batch import Recipe, training_batch
from spritelora.data.encoded import EncodedSet
from spritelora.diffusion.noise import NoiseRecipe
from spritelora.sdxl.text import TextEmbedding
from tests.data.test_data import encoded_set

pytestmark = pytest.mark.numeric


def with_unconditional() -> EncodedSet:
    return replace(encoded_set(7), unconditional=TextEmbedding(torch.zeros(77, 8), torch.zeros(4)))


def test_captions_are_dropped_as_often_as_asked_and_from_both_texts_at_once() -> None:
    batch = training_batch(with_unconditional(), 0, range(2000), 1000, Recipe(caption_dropout=0.1))
    dropped = ~batch.states.flatten(1).any(dim=1)
    assert torch.equal(dropped, ~batch.pooled.any(dim=1))
    assert int(dropped.sum()) == pytest.approx(200, abs=5 * (2000 * 0.1 * 0.9) ** 0.5)


def test_a_shaped_sample_does_not_depend_on_its_batch_or_on_what_came_before() -> None:
    recipe = Recipe(noise=NoiseRecipe(4, 0.5, 0.1), caption_dropout=0.5)
    whole = training_batch(with_unconditional(), 0, range(20), 1000, recipe)
    single = [training_batch(with_unconditional(), 0, [p], 1000, recipe) for p in reversed(range(20))][::-1]
    for field in whole._fields:
        assert torch.equal(torch.cat([getattr(b, field) for b in single]), getattr(whole, field)), field


def test_dropping_captions_moves_no_other_number() -> None:
    plain = training_batch(encoded_set(7), 0, range(20), 1000)
    dropped = training_batch(with_unconditional(), 0, range(20), 1000, Recipe(caption_dropout=1.0))
    assert not dropped.states.any()
    for field in set(plain._fields) - {"states", "pooled"}:
        assert torch.equal(getattr(plain, field), getattr(dropped, field)), field
