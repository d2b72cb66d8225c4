"""Colours of whole images: OKLab as its owner has it, nearest colours as brute force finds them."""

import numpy as np
import pytest

from spritelora.evaluation.colours import (
    MOST_COLOURS,
    VISIBLE,
    Palette,
    count_visible_colours,
    image_oklab,
    nearest_colours,
    palette_coverage,
    palette_distance,
    palette_of,
)
from spritelora.sprites.pixels import palette as slow
from tests.bounds import assert_within, oklab_error, rounding

pytestmark = pytest.mark.numeric

RNG = np.random.default_rng(0)
NEAREST_ERROR = (2 * rounding(5) * 3) ** 0.5
"""The nearest is found by squared distances in fp32, of terms up to 3; near 0 the root of an error counts."""


def test_images_are_in_oklab_as_their_colours_are() -> None:
    image = RNG.integers(0, 256, (2, 9, 7, 3), np.uint8)
    assert_within(image_oklab(image), slow.to_oklab(image), oklab_error())


def test_nearest_colours_are_those_of_brute_force() -> None:
    colours, palette = RNG.integers(0, 256, (500, 3), np.uint8), RNG.integers(0, 256, (9000, 3), np.uint8)
    number, distance = nearest_colours(colours, palette)
    assert_within(distance, slow.nearest_distance(colours, palette), NEAREST_ERROR)
    assert (nearest_colours(palette[number], palette)[1] <= NEAREST_ERROR).all()


def test_the_palette_distance_is_that_of_the_sprites_layer() -> None:
    image, palette = (
        RNG.integers(0, 256, (20, 20, 3), np.uint8),
        palette_of([RNG.integers(0, 256, (5, 5, 3), np.uint8)]),
    )
    assert_within(palette_distance(image, palette), slow.palette_distance(image, palette.colours), NEAREST_ERROR)


def test_coverage_is_weighted_by_how_much_of_the_set_a_colour_is() -> None:
    sprite = np.array([[[255, 0, 0]] * 3, [[0, 0, 255]] * 3, [[0, 0, 255]] * 3, [[0, 255, 0]] * 3], np.uint8)
    palette = palette_of([sprite, sprite[:2]])
    assert palette.weights.sum() == pytest.approx(1)
    assert palette_coverage(sprite[1:3], palette) == pytest.approx(9 / 18)
    assert palette_coverage(np.stack([sprite[:1], sprite[3:]]), palette) == pytest.approx(9 / 18)


def test_colours_that_look_alike_count_as_one_and_no_more_than_a_file_holds() -> None:
    noisy = np.repeat([[[200, 40, 40]], [[40, 40, 200]], [[250, 250, 250]]], 50, axis=1) + RNG.integers(
        -1, 2, (3, 50, 3)
    )
    assert count_visible_colours(noisy.astype(np.uint8)) == 3
    assert count_visible_colours(RNG.integers(0, 256, (64, 64, 3), np.uint8)) == MOST_COLOURS


def test_colours_are_merged_the_most_frequent_first() -> None:
    native = RNG.integers(90, 130, (40, 40, 3), np.uint8)
    colours, counts = slow.count_colours(native)
    kept: list[np.ndarray] = []
    for lab in slow.to_oklab(colours[np.argsort(-counts, kind="stable")]):
        if all(np.linalg.norm(lab - earlier) > VISIBLE for earlier in kept):
            kept.append(lab)
    assert 20 < len(kept) < MOST_COLOURS
    assert count_visible_colours(native) == len(kept)


def test_a_palette_is_at_distance_0_from_itself() -> None:
    sprite = RNG.integers(0, 256, (16, 16, 3), np.uint8)
    palette: Palette = palette_of([sprite])
    assert (palette_distance(sprite, palette), palette_coverage(sprite, palette)) == (0, pytest.approx(1))
