"""Sprites and regularisation images in one endless order: balanced, and as exact as the order of sprites alone."""

from dataclasses import replace

import pytest
import torch

from spritelora.data.batch import Recipe, training_batch
from spritelora.data.encoded import EncodedSet
from spritelora.data.order import DataOrder
from spritelora.data.stream import BatchStream
from spritelora.diffusion.draws import sample_order
from spritelora.sdxl.text import TextEmbedding
from tests.data.test_data import encoded_set

pytestmark = pytest.mark.numeric


def regularised(every: int, num_sprites: int = 5, num_images: int = 3) -> EncodedSet:
    """Latents and texts tell their place by their numbers."""
    sprites = encoded_set(num_sprites + num_images).sprites
    images = [replace(sprite, weight=0.25) for sprite in sprites[num_sprites:]]
    return EncodedSet(sprites[:num_sprites], images, every, TextEmbedding(torch.zeros(77, 8), torch.zeros(4)))


@pytest.mark.parametrize("every", [1, 3])
def test_after_every_so_many_sprites_comes_one_image(every: int) -> None:
    order = DataOrder([1] * 5, [1] * 3, every)
    places = [order.place(0, p) for p in range(15 * (every + 1))]
    is_image = [place >= 5 for place in places]
    assert is_image == ([False] * every + [True]) * 15
    images = [place for place in places if place >= 5]
    assert [sorted(images[i : i + 3]) for i in range(0, 15, 3)] == [[5, 6, 7]] * 5
    assert len({tuple(images[i : i + 3]) for i in range(0, 15, 3)}) > 1
    alone = DataOrder([1] * 5)
    assert [place for place in places if place < 5] == [alone.place(0, i) for i in range(15 * every)]


def test_without_images_the_order_is_a_permutation_of_each_pass() -> None:
    order = DataOrder([1] * 7)
    expected = [int(place) for epoch in range(3) for place in sample_order(4, epoch, 7)]
    assert [order.place(4, p) for p in range(21)] == expected


def test_both_kinds_repeat_as_often_as_they_are_told_to() -> None:
    order = DataOrder([2, 1], [1, 3], 1)
    places = [order.place(1, p) for p in range(24)]
    assert [places.count(i) for i in range(4)] == [8, 4, 3, 9]


def test_a_regularised_sample_does_not_depend_on_its_batch_and_a_stream_starts_anywhere() -> None:
    encoded, recipe = regularised(every=2), Recipe(caption_dropout=0.5)
    whole = training_batch(encoded, 0, range(24), 1000, recipe)
    single = [training_batch(encoded, 0, [p], 1000, recipe) for p in reversed(range(24))][::-1]
    for field in whole._fields:
        assert torch.equal(torch.cat([getattr(b, field) for b in single]), getattr(whole, field)), field
    shares = [
        next(iter(BatchStream(encoded, 0, 4, 1000, start=2, rank=r, world_size=2, recipe=recipe))) for r in (0, 1)
    ]
    assert torch.equal(torch.cat([s.latents for s in shares]), whole.latents[16:24])
    assert torch.equal(torch.cat([s.weights for s in shares]), whole.weights[16:24])


def test_images_keep_their_captions_and_bring_their_own_weight() -> None:
    encoded = regularised(every=1)
    batch = training_batch(encoded, 0, range(40), 1000, Recipe(caption_dropout=1.0))
    is_image = batch.indices >= 5
    assert is_image.tolist() == [False, True] * 20
    assert not batch.states[~is_image].any()
    kept = torch.stack([encoded[i].plain.texts[0].states for i in batch.indices[is_image].tolist()])
    assert torch.equal(batch.states[is_image], kept)
    assert torch.equal(batch.weights, torch.where(is_image, 0.25, 1.0))


def test_images_are_no_part_of_what_is_validated() -> None:
    encoded = regularised(every=1)
    assert (len(encoded), encoded.spread(256).names) == (5, [f"{i}.png" for i in range(5)])
    assert encoded.spread(2).names == ["0.png", "2.png"]
