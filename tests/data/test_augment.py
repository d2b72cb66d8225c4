"""Every variant has the sprite's own pixels, and a caption that is true of it."""

import numpy as np
import pytest

from spritelora.data.augment import (
    Augmentation,
    Variant,
    list_variants,
    names_direction,
    native_px,
    shift_inside,
    show_variant,
    swap_sides,
)
from spritelora.sprites.pixels.image import Pixels, apply_matte
from spritelora.sprites.pixels.placement import draw_on_canvas, fit_sprite
from tests.conftest import draw_sprite

WHITE = (255, 255, 255)
ALL = Augmentation(flip=True, shift=2, turn=True, variants=1000)


def fitted(seed: int, size: int = 16, side_px: int = 128) -> Pixels:
    sprite = apply_matte(draw_sprite(seed, size), WHITE)
    return draw_on_canvas(sprite, fit_sprite((size, size), side_px // size, [(side_px, side_px)]), WHITE)


def all_pixels(image: Pixels) -> bytes:
    """The multiset of an image's pixels."""
    return np.sort(image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32), axis=None).tobytes()


@pytest.mark.parametrize(
    ("caption", "swapped"),
    [
        ("pixel art, knight facing left", "pixel art, knight facing right"),
        ("Left arm up, RIGHT arm down", "Right arm up, LEFT arm down"),
        ("looks leftward, right-handed, top-left light", "looks rightward, left-handed, top-right light"),
        ("walk_left, facing_right", "walk_right, facing_left"),
        ("running south-east, northwest wind", "running south-west, northeast wind"),
        ("lefthand sword, rightmost gem", "righthand sword, leftmost gem"),
        ("upright leftovers, copyright, brightness", "upright leftovers, copyright, brightness"),
        ("right angle bracket, wild west gunman, western hat", "right angle bracket, wild west gunman, western hat"),
    ],
)
def test_sides_change_places_as_whole_words(caption: str, swapped: str) -> None:
    assert swap_sides(caption) == swapped
    assert swap_sides(swapped) == caption


def test_mirrored_twice_is_the_sprite() -> None:
    image = fitted(0)
    once = show_variant(image, Variant(flip=True), WHITE)
    assert not np.array_equal(once, image)
    assert np.array_equal(show_variant(once, Variant(flip=True), WHITE), image)


def test_four_right_angles_are_the_sprite_and_one_is_clockwise() -> None:
    image = fitted(1)
    turned = image
    for _ in range(4):
        turned = show_variant(turned, Variant(turns=1), WHITE)
    assert np.array_equal(turned, image)
    corner = np.full((16, 16, 3), 255, np.uint8)
    corner[0, 0] = 0
    assert tuple(show_variant(corner, Variant(turns=1), WHITE)[0, 15]) == (0, 0, 0)


@pytest.mark.parametrize(("size", "side_px"), [(16, 128), (20, 128), (13, 96)])
def test_every_variant_keeps_all_native_pixels(size: int, side_px: int) -> None:
    image = fitted(2, size, side_px)
    step, pixels = native_px(image, WHITE), all_pixels(image)
    assert step == side_px // size
    variants = list_variants(image, "pixel art, potion", WHITE, ALL)
    assert len(variants) == 2 * 4 * 5 * 5
    shown = [show_variant(image, v, WHITE) for v in variants]
    assert all(all_pixels(s) == pixels and native_px(s, WHITE) == step for s in shown)
    assert len({s.tobytes() for s in shown}) == len(variants)
    assert variants[0] == Variant()


def test_shifts_end_where_the_sprite_would_be_cut() -> None:
    image = fitted(3)
    variants = list_variants(image, "pixel art, potion", WHITE, Augmentation(shift=8, variants=1000))
    assert {v.right for v in variants} == {v.down for v in variants} == {-2, -1, 0, 1, 2}
    with pytest.raises(ValueError, match="a shift by 24, 0 px would cut the sprite"):
        shift_inside(image, 24, 0, WHITE)


def test_a_sprite_without_padding_stays_where_it_is() -> None:
    full = np.random.default_rng(0).integers(0, 250, (16, 16, 3), np.uint8)
    assert list_variants(full, "pixel art, tile", WHITE, Augmentation(shift=2)) == [Variant()]


def test_variants_that_look_alike_are_one() -> None:
    disc = np.full((16, 16, 3), 255, np.uint8)
    disc[4:12, 4:12] = 60
    disc[6:10, 6:10] = (200, 0, 0)
    assert list_variants(disc, "pixel art, gem", WHITE, Augmentation(flip=True, turn=True)) == [Variant()]
    sided = list_variants(disc, "pixel art, gem on the left", WHITE, Augmentation(flip=True))
    assert sided == [Variant(), Variant(flip=True)]


def test_a_choice_of_variants_has_the_sprite_itself_and_no_chance_in_it() -> None:
    image = fitted(4)
    few = Augmentation(flip=True, shift=2, turn=True, variants=7)
    variants = list_variants(image, "pixel art, potion", WHITE, few)
    assert len(set(variants)) == 7
    assert variants[0] == Variant()
    assert variants == list_variants(image, "pixel art, potion", WHITE, few)


@pytest.mark.parametrize(
    ("caption", "is_named"),
    [
        ("pixel art, knight facing left", True),
        ("pixel art, cliff, grass at the top", True),
        ("tile, upper-right corner", True),
        ("tile, river to the north", True),
        ("pixel art, grass tile, top-down view", False),
        ("top down dungeon floor", False),
        ("upright stone, stoplight, bottomless pit", False),
    ],
)
def test_a_caption_that_names_a_direction_keeps_a_sprite_from_turning(caption: str, is_named: bool) -> None:
    assert names_direction(caption) is is_named
    turns = {v.turns for v in list_variants(fitted(5), caption, WHITE, Augmentation(turn=True))}
    assert turns == ({0} if is_named else {0, 1, 2, 3})
