"""The figures measure what they say."""

import numpy as np

from spritelora.embedded.drawn.drawn_sprite import held_out_pairs
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.embedded.making.drawn_set import draw_sprites
from spritelora.embedded.making.figures import cell_spread, share_among, shrink


def test_whole_pixels_have_no_spread_and_shrink_to_the_sprite() -> None:
    sprites = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    images = sprites.repeat(8, 1).repeat(8, 2)
    assert cell_spread(images) == 0
    assert (shrink(images) == sprites).all()


def test_half_a_cell_lighter_by_ten_has_a_spread_of_five() -> None:
    images = np.full((1, 128, 128, 3), 100, np.uint8)
    images[:, ::2] = 110
    assert cell_spread(images) == 5


def test_held_out_pairs_are_never_drawn() -> None:
    held_out = held_out_pairs()
    drawn = draw_sprites(3000, 0, 2, held_out)
    pairs = {(spec.subject, spec.colour) for spec in drawn.specs}
    assert pairs == {(subject, colour) for subject in SUBJECTS for colour in COLOURS} - set(held_out)


def test_a_share_counts_the_named_pairs_only() -> None:
    pairs = [("key", "red"), ("key", "blue"), ("gem", "red")]
    assert share_among(np.array([True, False, True]), pairs, {("key", "red"), ("key", "blue")}) == 0.5
