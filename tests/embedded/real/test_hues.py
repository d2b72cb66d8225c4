"""The names of colours, and sprites in another colour."""

import numpy as np
import pytest

from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.real.hues import HUE_NAMES, NAMES, colours_of, from_hsv, name_colours, recolour, to_hsv


def square(colour: tuple[int, int, int]) -> np.ndarray:
    sprite = np.zeros((8, 8, 4), np.uint8)
    sprite[1:7, 1:7] = (*colour, 255)
    return sprite


def test_the_drawn_colours_have_their_own_names() -> None:
    named = name_colours(np.array(list(COLOURS.values()), np.uint8))
    assert [NAMES[number] for number in named] == list(COLOURS)


def test_every_colour_comes_back_from_hue_saturation_and_value() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4096, 3)).astype(np.uint8)
    np.testing.assert_array_equal(from_hsv(to_hsv(colours)), colours)


def test_an_outline_is_no_colour_of_a_sprite_but_black_of_a_black_one_is() -> None:
    outlined = square((208, 38, 42))
    outlined[1, 1:7, :3] = 0
    outlined[6, 1:7, :3] = 0
    assert colours_of(outlined) == ["red"]
    assert colours_of(square((4, 4, 4))) == ["black"]
    assert colours_of(np.zeros((4, 4, 4), np.uint8)) == []


@pytest.mark.parametrize("colour", HUE_NAMES)
def test_a_recoloured_sprite_is_named_as_asked_and_keeps_its_shape(colour: str) -> None:
    sprite = square(COLOURS["green"])
    painted = recolour(sprite, colour)
    if colour == "green":
        assert painted is None
        return
    assert painted is None or colours_of(painted) == [colour]
    if painted is not None:
        np.testing.assert_array_equal(painted[..., 3], sprite[..., 3])


def test_most_colours_can_be_painted_in_most_others_and_gray_in_none() -> None:
    done = [recolour(square(COLOURS[old]), new) is not None for old in HUE_NAMES for new in HUE_NAMES if old != new]
    assert sum(done) > 0.6 * len(done)
    assert recolour(square(COLOURS["gray"]), "red") is None
