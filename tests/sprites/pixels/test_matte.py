"""The matte parts figures from their ground, whatever lies inside them, and keeps its distance where none does."""

import numpy as np
import pytest

from spritelora.sprites.pixels.image import Pixels, scale_nearest
from spritelora.sprites.pixels.matte import (
    MANY_COLOURS,
    PREFERRED,
    SpriteColours,
    choose_matte,
    has_near,
    near_shares,
    sprite_colours,
)

WHITE, LIGHT, MIDDLE, BLACK = PREFERRED
RED = (200, 30, 40)


def figure(edge: tuple[int, int, int], inside: tuple[int, int, int] = RED, size: int = 12) -> Pixels:
    """A square of one colour with an outline of another, on clear ground."""
    sprite = np.zeros((size, size, 4), dtype=np.uint8)
    sprite[1:-1, 1:-1] = (*edge, 255)
    sprite[2:-2, 2:-2] = (*inside, 255)
    return sprite


def of(*sprites: Pixels) -> list[SpriteColours]:
    return [sprite_colours(sprite) for sprite in sprites]


def test_what_lies_inside_an_outline_does_not_matter() -> None:
    dark = (40, 20, 60)
    assert choose_matte(of(*(figure(dark, colour) for colour in PREFERRED))) == WHITE
    assert [has_near(WHITE, of(figure(dark, inside))) for inside in (WHITE, (240, 240, 240), LIGHT)] == [1, 1, 0]
    holed = figure(dark, WHITE)
    holed[5:7, 5:7] = 0  # a hole through white is no ground: nothing reaches it from the border
    assert choose_matte(of(holed)) == WHITE


@pytest.mark.parametrize("num_met", range(len(PREFERRED) + 1))
def test_the_first_neutral_colour_that_edges_do_not_have(num_met: int) -> None:
    sprites = of(*(figure(colour) for colour in PREFERRED[:num_met]), figure(RED))
    matte = choose_matte(sprites)
    if num_met < len(PREFERRED):
        assert matte == PREFERRED[num_met]
    else:
        assert max(matte) - min(matte) > 100
        assert not has_near(matte, sprites)


def test_one_percent_of_the_edges_is_too_much_and_a_few_sprites_are_not() -> None:
    def spotted(num_white: int) -> Pixels:
        sprite = figure(RED)
        sprite[1, 2 : 2 + num_white, :3] = 250  # pixels of one side each, of 40
        return sprite

    assert near_shares(WHITE, of(spotted(1), spotted(4), spotted(0))).tolist() == [1 / 40, 4 / 40, 0]
    plain = [figure(RED)] * 99
    assert choose_matte(of(*[spotted(1)] * 39, *plain[:61])) == WHITE
    assert choose_matte(of(*[spotted(1)] * 40, *plain[:60])) == LIGHT
    assert choose_matte(of(*[spotted(3)] * 5, *plain[:95])) == WHITE
    assert choose_matte(of(*[spotted(3)] * 6, *plain[:94])) == LIGHT
    assert choose_matte(of(figure(WHITE), *plain, *plain)) == WHITE


def test_every_sprite_counts_alike_however_large_it_is_drawn() -> None:
    small, white = figure(RED), figure(WHITE)
    enlarged = of(*[small] * 40, scale_nearest(white, 4))
    assert near_shares(WHITE, enlarged).tolist() == near_shares(WHITE, of(*[small] * 40, white)).tolist()
    assert near_shares(LIGHT, []).tolist() == []


def crowd_of(colours: np.ndarray) -> SpriteColours:
    """A sprite with these colours (N, 3), all of them at its edge."""
    opaque = np.full((len(colours), 1), 255)
    return sprite_colours(np.concatenate([colours, opaque], axis=1)[None].astype(np.uint8))


def test_the_matte_stays_away_from_a_crowded_palette() -> None:
    levels = np.arange(0, 256, 51)
    crowd = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    matte = np.array(choose_matte([crowd_of(crowd), *of(*(figure(colour) for colour in PREFERRED))]))
    assert np.abs(np.concatenate([crowd, PREFERRED]) - matte).max(axis=1).min() >= 15
    assert choose_matte([]) == WHITE


def test_among_many_colours_the_matte_is_as_far_as_can_be() -> None:
    rng = np.random.default_rng(0)
    channels = rng.integers(0, 256, (20_000, 3))
    channels = channels[~((channels > (60, 90, 120)) & (channels < (120, 150, 180))).all(axis=1)]
    neutral = np.repeat(np.arange(256), 3).reshape(-1, 3)
    crowd = np.unique(np.concatenate([channels, neutral]), axis=0)
    assert len(crowd) > MANY_COLOURS
    matte = np.array(choose_matte([crowd_of(neutral), crowd_of(crowd)]))
    assert np.abs(crowd - matte).max(axis=1).min() >= 20
    assert (np.array((60, 90, 120)) < matte).all()
    assert (matte < np.array((120, 150, 180))).all()
