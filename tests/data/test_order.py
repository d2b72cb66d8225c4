"""Sprites and regularisation images in one endless order: balanced, and as exact as the order of sprites alone."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
import torch

from spritelora.data.batch import Recipe, training_batch
from spritelora.data.encoded import EncodedSet
from spritelora.data.order import DataOrder, Subject, subjects_of
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


def alone(repeats: list[int], first: int = 0) -> list[Subject]:
    """Sprites that are a subject each."""
    return subjects_of(range(len(repeats)), repeats, first)


@pytest.mark.parametrize("every", [1, 3])
def test_after_every_so_many_sprites_comes_one_image(every: int) -> None:
    order = DataOrder(alone([1] * 5), alone([1] * 3, 5), every)
    places = [order.place(0, p) for p in range(15 * (every + 1))]
    is_image = [place >= 5 for place in places]
    assert is_image == ([False] * every + [True]) * 15
    images = [place for place in places if place >= 5]
    assert [sorted(images[i : i + 3]) for i in range(0, 15, 3)] == [[5, 6, 7]] * 5
    assert len({tuple(images[i : i + 3]) for i in range(0, 15, 3)}) > 1
    without = DataOrder(alone([1] * 5))
    assert [place for place in places if place < 5] == [without.place(0, i) for i in range(15 * every)]


def test_without_images_the_order_is_a_permutation_of_each_pass() -> None:
    order = DataOrder(alone([1] * 7))
    expected = [int(place) for epoch in range(3) for place in sample_order(4, epoch, 7)]
    assert [order.place(4, p) for p in range(21)] == expected


def test_both_kinds_repeat_as_often_as_they_are_told_to() -> None:
    order = DataOrder(alone([2, 1]), alone([1, 3], 2), 1)
    places = [order.place(1, p) for p in range(24)]
    assert [places.count(i) for i in range(4)] == [8, 4, 3, 9]


def test_a_hero_of_28_frames_is_shown_as_often_as_a_potion_of_one() -> None:
    """Over 1,000 steps of 4: shares by subject are equal to one sample of each, and so are shares of frames."""
    names = ["hero"] * 28 + ["bat", "bat", "potion", "key"]
    balanced, by_file = (DataOrder(subjects_of(groups, [1] * 32)) for groups in (names, range(32)))
    counts = Counter(balanced.place(0, position) for position in range(4000))
    shares = Counter[str]()
    for place, count in counts.items():
        shares[names[place]] += count
    assert shares == {"hero": 1000, "bat": 1000, "potion": 1000, "key": 1000}
    assert {counts[place] for place in range(28)} == {1000 // 28, 1000 // 28 + 1}
    assert {counts[28], counts[29]} == {500}
    of_files = Counter(by_file.place(0, position) for position in range(4000))
    assert set(of_files.values()) == {125}


def test_repeats_multiply_within_and_between_subjects() -> None:
    assert subjects_of("aab", [10, 10, 1]) == [Subject([0, 1], 10), Subject([2], 1)]
    assert subjects_of("aba", [6, 1, 4], first=3) == [Subject([3, 3, 3, 5, 5], 6), Subject([4], 1)]
    order = DataOrder(subjects_of("aaabbc", [3, 3, 6, 2, 2, 1]))
    counts = Counter(order.place(5, position) for position in range(9 * 40))
    assert [counts[place] for place in range(6)] == [60, 60, 120, 40, 40, 40]


def test_every_turn_shows_each_frame_and_turns_differ() -> None:
    order = DataOrder(subjects_of(["hero"] * 6 + ["key"], [1] * 7))
    frames = [place for position in range(240) if (place := order.place(3, position)) < 6]
    turns = [tuple(frames[i : i + 6]) for i in range(0, len(frames), 6)]
    assert len(turns) == 20
    assert all(sorted(turn) == list(range(6)) for turn in turns)
    assert len(set(turns)) > 10


@pytest.mark.parametrize("regularising", [[], alone([1, 2], 8)])
def test_subjects_of_one_sprite_change_nothing_and_any_position_can_be_asked_first(regularising: list[Subject]) -> None:
    names, repeats = [f"{n}" for n in range(8)], [1, 3, 1, 1, 2, 1, 1, 1]
    order = DataOrder(subjects_of(names, repeats), regularising, 3)
    if not regularising:
        each = [place for place, count in enumerate(repeats) for _ in range(count)]
        expected = [each[slot] for epoch in range(3) for slot in sample_order(2, epoch, 11).tolist()]
        assert [order.place(2, position) for position in range(33)] == expected
    grouped = DataOrder(subjects_of("aabbbbcd", repeats), regularising, 3)
    forth = [grouped.place(2, position) for position in range(200)]
    assert [grouped.place(2, position) for position in reversed(range(200))] == forth[::-1]
    assert [grouped.place(4, position) for position in range(200)] != forth


def test_processes_and_accumulation_share_a_balanced_order() -> None:
    """A step of 8 sprites: one process with one pass, with two passes, or two processes with two each."""
    sprites = [replace(s, subject="hero" if i < 5 else "") for i, s in enumerate(encoded_set(8).sprites)]
    encoded = EncodedSet(sprites)
    assert [len(subject.turn) for subject in encoded.order.subjects] == [5, 1, 1, 1]

    def indices(batch_size: int, world_size: int, passes: int, first_step: int) -> list[list[int]]:
        shares = [
            BatchStream(encoded, 0, batch_size, 1000, start=first_step * passes, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        steps = [[*islice(share, 3 * passes)] for share in shares]
        return [
            [i for p in range(passes) for share in steps for i in share[step * passes + p].indices.tolist()]
            for step in range(3)
        ]

    whole = indices(8, 1, 1, 0)
    assert whole == indices(4, 1, 2, 0) == indices(2, 2, 2, 0) == indices(4, 2, 1, 0)
    assert indices(8, 1, 1, 2)[0] == whole[2]  # a run that goes on begins in the middle of a hero's turn


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
