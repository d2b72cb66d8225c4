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


def brute_distance(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The OKLab distance of each colour (N, 3) to the nearest of a palette (K, 3), looked for one by one."""
    known = slow.to_oklab(palette)
    return np.array([np.linalg.norm(lab - known, axis=1).min() for lab in slow.to_oklab(colours)])


def test_images_are_in_oklab_as_their_colours_are() -> None:
    image = RNG.integers(0, 256, (2, 9, 7, 3), np.uint8)
    assert_within(image_oklab(image), slow.to_oklab(image), oklab_error())


def test_nearest_colours_are_those_of_brute_force() -> None:
    colours, palette = RNG.integers(0, 256, (500, 3), np.uint8), RNG.integers(0, 256, (9000, 3), np.uint8)
    number, distance = nearest_colours(colours, palette)
    assert_within(distance, brute_distance(colours, palette), NEAREST_ERROR)
    assert (nearest_colours(palette[number], palette)[1] <= NEAREST_ERROR).all()


def test_many_colours_in_parts_are_measured_as_alone() -> None:
    colours, palette = RNG.integers(0, 256, (3000, 3), np.uint8), RNG.integers(0, 256, (4000, 3), np.uint8)
    assert_within(nearest_colours(colours, palette)[1][:5], nearest_colours(colours[:5], palette)[1], NEAREST_ERROR)


def test_the_palette_distance_is_the_mean_over_pixels() -> None:
    image, palette = (
        RNG.integers(0, 256, (20, 20, 3), np.uint8),
        palette_of([RNG.integers(0, 256, (5, 5, 3), np.uint8)]),
    )
    expected = brute_distance(image.reshape(-1, 3), palette.colours).mean()
    assert_within(palette_distance(image, palette), expected, NEAREST_ERROR)
    black = palette_of([np.zeros((1, 1, 3), np.uint8)])
    quarter_white = np.array([[[0, 0, 0]] * 3 + [[255, 255, 255]]], np.uint8)
    assert palette_distance(quarter_white, black) == pytest.approx(0.25, abs=1e-4)


def test_pictures_made_of_a_palette_are_at_distance_0() -> None:
    colours = RNG.integers(0, 256, (7, 1, 3), np.uint8)
    images = colours[RNG.integers(0, 7, (3, 16, 16)), 0]
    assert palette_distance(images, palette_of([colours])) == 0
    assert palette_distance(images, palette_of([colours[:3]])) > 0.01


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
