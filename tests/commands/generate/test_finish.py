"""Clearing and locking: what is clean comes back as it was, twice is as good as once."""

import numpy as np
import pytest

from spritelora.commands.generate.finish import (
    border_colour,
    choose_palette,
    clear_background,
    drawn_matte,
    find_background,
    lock_palette,
)
from spritelora.sprites.pixels.image import apply_matte, without_hidden_colour
from spritelora.sprites.pixels.palette import count_colours, to_oklab
from tests.conftest import draw_sprite

pytestmark = pytest.mark.numeric

MATTE = (255, 255, 255)


def colours_of(sprite: np.ndarray) -> np.ndarray:
    return count_colours(sprite[sprite[..., 3] > 0][:, :3])[0]


@pytest.mark.parametrize("seed", range(8))
def test_a_clean_sprite_with_a_hole_comes_back_to_the_bit(seed: int) -> None:
    sprite = draw_sprite(seed)
    sprite[7:9, 7:9, 3] = 0
    palette = colours_of(sprite)
    native = apply_matte(sprite, MATTE)
    background = find_background(native, MATTE, palette, opens_holes=True)
    finished = lock_palette(clear_background(native, background), palette)
    assert (finished == without_hidden_colour(sprite)).all()


@pytest.mark.parametrize("shift", [-30, 0, 25])
def test_a_ground_that_is_drawn_lighter_or_darker_than_the_matte_is_found(shift: int) -> None:
    """The one of a LoRA in training; a border far from the matte, or of a figure's colour, is no ground."""
    native = np.full((9, 9, 3), 128 + shift, dtype=np.uint8)
    native[3:6, 3:6] = (200, 30, 30)
    figures = np.array([[200, 30, 30], [40, 40, 60]], dtype=np.uint8)
    matte = drawn_matte(native, (128, 128, 128), figures)
    assert matte == (128 + shift,) * 3
    assert find_background(native, matte, figures, opens_holes=False).sum() == 81 - 9
    for border in ((250, 250, 250), (45, 120, 130)):
        native[[0, -1]] = native[:, [0, -1]] = border
        assert drawn_matte(native, (128, 128, 128), np.array([[45, 120, 130]], dtype=np.uint8)) == (128, 128, 128)


def test_enclosed_background_stays_unless_holes_are_opened() -> None:
    native = np.full((7, 7, 3), 255, dtype=np.uint8)
    native[1:6, 1:6] = (200, 30, 30)
    native[3, 3] = 255
    closed = find_background(native, MATTE, None, opens_holes=False)
    opened = find_background(native, MATTE, None, opens_holes=True)
    assert (closed.sum(), opened.sum()) == (24, 25)
    assert opened[3, 3]


def test_a_near_colour_of_the_palette_is_not_taken_for_background() -> None:
    native = np.full((4, 4, 3), 255, dtype=np.uint8)
    native[1:3, 1:3] = 244
    grey = np.array([[244, 244, 244]], dtype=np.uint8)
    assert find_background(native, MATTE, None, opens_holes=False).all()
    assert find_background(native, MATTE, grey, opens_holes=False).sum() == 12


def test_locking_twice_is_locking_once_and_leaves_palette_colours_only() -> None:
    rng = np.random.default_rng(0)
    sprite = rng.integers(0, 256, (32, 32, 4), dtype=np.uint8)
    sprite[..., 3] = np.where(sprite[..., 3] > 99, 255, 0)
    close = np.array([[255, 255, 255], [255, 255, 254], [255, 254, 255], [254, 255, 255], [0, 0, 1]], dtype=np.uint8)
    for palette in (close, rng.integers(0, 256, (40, 3), dtype=np.uint8)):
        once = lock_palette(sprite, palette)
        assert (lock_palette(once, palette) == once).all()
        assert {tuple(c) for c in colours_of(once)} <= {tuple(c) for c in palette}
        seen = sprite[..., 3] > 0
        told = np.linalg.norm(to_oklab(once[seen][:, :3]) - to_oklab(sprite[seen][:, :3]), axis=1)
        every = np.linalg.norm(to_oklab(sprite[seen][:, None, :3]) - to_oklab(palette), axis=-1)
        assert told == pytest.approx(every.min(axis=1))


def test_a_chosen_palette_holds_all_colours_where_they_are_few_else_k_of_them() -> None:
    sprites = [draw_sprite(seed) for seed in range(6)]
    everything = count_colours(np.concatenate([s[s[..., 3] > 0][:, :3] for s in sprites]))[0]
    assert (choose_palette(sprites, len(everything)) == everything).all()
    chosen = choose_palette(sprites, 8)
    assert len({tuple(c) for c in chosen}) == 8
    assert {tuple(c) for c in chosen} <= {tuple(c) for c in everything}


def test_the_border_tells_its_colour_or_that_it_has_none() -> None:
    native = np.full((8, 8, 3), 250, dtype=np.uint8)
    native[0, :4] = (255, 0, 0)
    native[7, 0] = 249
    assert border_colour(native) == (250, 250, 250)
    assert border_colour(np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)) is None
