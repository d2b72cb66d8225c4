"""Sprites of several shapes in one run: each step shows one, each shape has its share and an order of its own."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from spritelora.data.batch import training_batch, validation_batches
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.data.order import DataOrder, Subject, subjects_of
from spritelora.data.run_canvases import settle_canvases
from spritelora.data.stream import BatchStream
from spritelora.embedded.location import embedded_base
from spritelora.errors import ConfigError, WeightsError
from spritelora.sdxl.text import TextEmbedding
from tests.data.test_data import encoded_set

pytestmark = pytest.mark.numeric

TALL, WIDE, SQUARE = (6, 3), (3, 6), (4, 4)


def shaped_set(shapes: list[tuple[int, int]], **more: object) -> EncodedSet:
    """Sprites of random latents of these shapes, each under a text of its own."""
    source = torch.Generator().manual_seed(0)
    sprites = [
        EncodedSprite(
            f"{i}.png",
            [
                EncodedView(
                    torch.randn(4, *shape, generator=source),
                    [TextEmbedding(torch.randn(77, 8, generator=source), torch.randn(4, generator=source))],
                )
            ],
        )
        for i, shape in enumerate(shapes)
    ]
    return replace(EncodedSet(sprites), **more)  # pyright: ignore[reportArgumentType]


MIXED = [TALL] * 5 + [SQUARE] * 3 + [WIDE]


def places_of(order: DataOrder, num_steps: int, samples_a_step: int, seed: int = 0) -> list[list[int]]:
    return [
        [order.place(seed, step * samples_a_step + i, samples_a_step) for i in range(samples_a_step)]
        for step in range(num_steps)
    ]


@pytest.mark.parametrize("regularising", [[], [1, 2]])
def test_one_shape_alone_has_the_order_without_shapes(regularising: list[int]) -> None:
    subjects = subjects_of("aabcde", [1, 3, 1, 1, 2, 1])
    images = subjects_of(range(len(regularising)), regularising, 6)
    plain, shaped = (DataOrder(subjects, images, 2, shapes) for shapes in ([], [TALL] * 8))
    assert [shaped.place(3, p, 4) for p in range(200)] == [plain.place(3, p) for p in range(200)]


@pytest.mark.parametrize("samples_a_step", [1, 2, 5, 16])
def test_a_step_shows_one_shape_and_every_sprite_has_its_share(samples_a_step: int) -> None:
    order = shaped_set(MIXED).order
    steps = places_of(order, 3 * len(MIXED), samples_a_step)
    shapes = [{MIXED[place] for place in step} for step in steps]
    assert all(len(shown) == 1 for shown in shapes)
    counts = Counter(place for step in steps for place in step)
    assert set(counts.values()) == {3 * samples_a_step}
    for shape in set(MIXED):
        share = MIXED.count(shape) / len(MIXED)
        for end in range(1, len(steps) + 1):
            assert abs(sum(shape in shown for shown in shapes[:end]) - end * share) < 1


def test_each_shape_is_shuffled_anew_for_each_of_its_passes() -> None:
    steps = places_of(shaped_set(MIXED).order, 54, 5)
    tall = [step for step in steps if MIXED[step[0]] == TALL]
    assert all(sorted(step) == [0, 1, 2, 3, 4] for step in tall)
    assert len({tuple(step) for step in tall}) > 20
    square = [place for step in steps if MIXED[step[0]] == SQUARE for place in step]
    passes = [square[i : i + 3] for i in range(0, len(square), 3)]
    assert all(sorted(each) == [5, 6, 7] for each in passes)


def test_any_position_can_be_asked_first_and_the_seed_decides() -> None:
    forth, again = shaped_set(MIXED).order, shaped_set(MIXED).order
    places = [forth.place(1, p, 4) for p in range(400)]
    assert [again.place(1, p, 4) for p in reversed(range(400))] == places[::-1]
    assert [again.place(2, p, 4) for p in range(400)] != places


def test_a_subject_of_several_shapes_is_shown_as_often_as_one_of_a_single_sprite() -> None:
    """A hero with five tall frames and two wide ones, a tall key and a square potion with two repeats."""
    names, shapes = ["hero"] * 7 + ["key", "potion"], [TALL] * 5 + [WIDE] * 2 + [TALL, SQUARE]
    order = DataOrder(subjects_of(names, [1] * 8 + [2]), shapes=shapes)
    steps = places_of(order, 4 * 7 * 5, 4)
    counts = Counter(place for step in steps for place in step)
    assert all(len({shapes[place] for place in step}) == 1 for step in steps)
    assert [counts[place] for place in range(9)] == [20] * 7 + [140, 280]


def test_images_that_regularise_keep_their_share_whatever_their_shape() -> None:
    """Sprites are tall and square, images square and wide: every third sample is an image."""
    shapes = [TALL] * 3 + [SQUARE] + [SQUARE, WIDE]
    order = DataOrder(subjects_of(range(4), [1] * 4), subjects_of(range(2), [1, 1], 4), 2, shapes)
    steps = places_of(order, 12, 6)
    assert all(len({shapes[place] for place in step}) == 1 for step in steps)
    counts = Counter(place for step in steps for place in step)
    assert [counts[place] for place in range(6)] == [12] * 6


def test_a_shape_that_has_images_alone_and_one_that_has_sprites_alone() -> None:
    order = DataOrder([Subject([0])], [Subject([1])], 3, [TALL, WIDE])
    assert [order.place(0, p) for p in range(8)].count(1) == 2


def test_batch_accumulation_and_processes_show_the_same_steps() -> None:
    encoded = shaped_set(MIXED)

    def steps(batch_size: int, world_size: int, accumulate: int, first_step: int = 0) -> list[list[int]]:
        first, more = first_step * accumulate, {"world_size": world_size, "accumulate": accumulate}
        shares = [
            [*islice(BatchStream(encoded, 0, batch_size, 1000, start=first, rank=rank, **more), 12 * accumulate)]
            for rank in range(world_size)
        ]
        return [
            [i for p in range(accumulate) for share in shares for i in share[step * accumulate + p].indices.tolist()]
            for step in range(12)
        ]

    whole = steps(8, 1, 1)
    assert whole == steps(4, 1, 2) == steps(2, 2, 2) == steps(4, 2, 1) == steps(1, 1, 8)
    assert steps(8, 1, 1, first_step=7)[:5] == whole[7:]
    assert len({tuple({MIXED[i] for i in step}) for step in whole}) == 3


def test_a_sample_does_not_depend_on_its_batch_and_knows_its_size() -> None:
    encoded = shaped_set(MIXED)
    for step in range(9):
        positions = range(4 * step, 4 * step + 4)
        whole = training_batch(encoded, 0, positions, 1000, samples_a_step=4)
        single = [training_batch(encoded, 0, [p], 1000, samples_a_step=4) for p in positions]
        for field in whole._fields:
            assert torch.equal(torch.cat([getattr(b, field) for b in single]), getattr(whole, field)), field
        height, width = (8 * n for n in whole.latents.shape[2:])
        assert whole.time_ids.tolist() == [[height, width, 0, 0, height, width]] * 4


def test_the_first_step_of_a_shape_is_the_first() -> None:
    encoded = shaped_set(MIXED)
    shown = [encoded[step[0]].shape for step in places_of(encoded.order, 9, 1)]
    assert [encoded.order.first_step(shape) for shape in (TALL, SQUARE, WIDE)] == [
        shown.index(shape) for shape in (TALL, SQUARE, WIDE)
    ]
    assert encoded.largest_shape == TALL
    assert encoded_set(3).order.first_step(SQUARE) == 0


@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_validation_batches_have_one_shape_and_every_sprite_its_own_noise(size: int) -> None:
    encoded = shaped_set(MIXED)
    ((*batches,),) = validation_batches(encoded, [(0, 1000)], draws=2, size=size)
    (alone,) = validation_batches(encoded, [(0, 1000)], draws=2, size=1)
    noise = {(int(b.indices), int(b.timesteps)): b.noise[0] for b in alone}
    assert sorted(i for b in batches for i in b.indices.tolist()) == sorted([*range(9)] * 2)
    for batch in batches:
        assert len(batch.indices) <= size
        for place, timestep, own in zip(batch.indices.tolist(), batch.timesteps.tolist(), batch.noise, strict=True):
            assert torch.equal(own, noise[place, timestep])


def test_the_embedded_base_has_tall_and_wide_canvases_beside_each_square() -> None:
    for side_px, long_px in ((128, 256), (192, 320), (256, 320)):
        canvases = settle_canvases(["auto"], side_px, None)
        assert canvases == settle_canvases(["auto"], side_px, str(embedded_base()))
        assert canvases.shapes[0] == (side_px, side_px)
        assert max(map(max, canvases.shapes)) == long_px
        assert {shape[::-1] for shape in canvases.shapes} == set(canvases.shapes)


def a_base(folder: Path, canvases: object = None, sample_size: int = 16) -> str:
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text(json.dumps({"sample_size": sample_size}))
    if canvases is not None:
        (folder / "canvases.json").write_text(json.dumps(canvases))
    return str(folder)


def test_a_base_that_lists_its_canvases_gives_those_of_about_the_resolution(tmp_path: Path) -> None:
    sides = [(128, 128), (192, 192), (256, 256), (128, 192), (192, 128), (128, 256), (256, 128), (192, 320), (320, 192)]
    base = a_base(tmp_path, sides)
    assert set(settle_canvases(["auto"], 128, base).shapes) == {s for s in sides if 128 in s and max(s) < 320}
    shapes = settle_canvases(["auto"], 256, base).shapes
    assert shapes[0] == (256, 256)
    assert set(shapes) == {(256, 256), (192, 320), (320, 192), (128, 256), (256, 128)}
    for side_px in (64, 128, 192, 256, 320):
        assert all(min(shape) <= side_px for shape in settle_canvases(["auto"], side_px, base).shapes)


def test_a_base_of_sdxls_size_has_sdxls_canvases_and_a_small_one_its_square(tmp_path: Path) -> None:
    assert len(settle_canvases(["auto"], 1024, "someone/on-the-hub").shapes) == 41
    assert len(settle_canvases(["auto"], 1024, a_base(tmp_path, sample_size=128)).shapes) == 41
    (tmp_path / "small").mkdir()
    assert list(settle_canvases(["auto"], 256, a_base(tmp_path / "small")).shapes) == [(256, 256)]


@pytest.mark.parametrize(
    "content", [{}, [128, 128], [[128]], [[128, -32]], [[128, 136]], [[128, 130]], [["128", 128]], "x"]
)
def test_a_list_of_canvases_that_is_none_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError, match=r"canvases\.json: no list of widths and heights.*data\.shapes=square"):
        settle_canvases(["auto"], 128, a_base(tmp_path, content))
    (tmp_path / "many").mkdir()
    with pytest.raises(WeightsError, match=r"canvases\.json: lists 2,000 canvases, over the limit of 1,000; remove"):
        settle_canvases(["auto"], 128, a_base(tmp_path / "many", [[128, 128]] * 2000))
    assert list(settle_canvases(["square"], 128, str(tmp_path)).shapes) == [(128, 128)]


def test_typed_canvases_are_taken_and_checked() -> None:
    typed = settle_canvases(["832x1216", "1024x1024"], 1024, None)
    assert (list(typed.shapes), typed.takes_prepared) == ([(832, 1216), (1024, 1024)], False)
    assert settle_canvases(["832x1216,1024x1024"], 1024, None) == typed
    for asked, message in {
        ("tall",): r"data\.shapes: 'tall' is no width and height.*data\.shapes=auto",
        ("auto", "832x1216"): r"data\.shapes: 'auto' is no width",
        ("840x1216",): r"data\.shapes: sides must be multiples of 32 px, got 840x1216; try 832x1216",
        ("128x192",): r"data\.shapes: 128x192 is not about the area of model\.resolution=1024.*model\.resolution=160",
    }.items():
        with pytest.raises(ConfigError, match=message):
            settle_canvases(asked, 1024, None)
