"""The distance of colour distributions: its laws, and its interval against the means of known sets."""

from pathlib import Path

import numpy as np
import pytest

from spritelora.embedded.drawn import draw_demo_set, draw_sprite, sample_spec
from spritelora.evaluation.colour_distance import (
    BIN,
    DIRECTIONS,
    EDGES,
    ColourTarget,
    colour_profile,
    compare_colours,
    distance,
    pack_colours,
    profiles_of,
    read_colours,
)
from spritelora.evaluation.statistics import Outcome
from spritelora.sprites.pixels.image import Pixels
from tests.bounds import rounding

pytestmark = pytest.mark.numeric

SAME_SHARES = rounding(8) * 2 * BIN * len(EDGES)
"""Where means of up to eight equal shares, numbers up to 1 in fp32, are compared at every edge."""
GREENS = [np.asarray(image) for image, _ in draw_demo_set()]


def colourful(count: int, seed: int) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [draw_sprite(sample_spec(rng), rng)[..., :3] for _ in range(count)]


def halves(colour: int, background: int = 255) -> Pixels:
    """A grey square in the middle of a plain background."""
    image = np.full((8, 8, 3), background, np.uint8)
    image[2:6, 2:6] = colour
    return image


def test_a_set_is_at_no_distance_to_itself_and_a_part_of_it_near() -> None:
    target = ColourTarget(profiles_of(GREENS))
    assert target.distance_of(target.profiles) == 0
    assert target.distance_of(profiles_of(GREENS[:24])) < 2 * target.floor(24)
    assert target.distance_of(profiles_of(colourful(24, 0))) > 5 * target.floor(24)


def test_moving_every_colour_by_d_gives_d() -> None:
    """Greys differ in lightness alone, and OKLab's lightness of a grey is the cube root of its linear value."""
    light = [((code / 255 + 0.055) / 1.055) ** (2.4 / 3) for code in (100, 160)]
    found = distance(colour_profile(halves(100)), colour_profile(halves(160)))
    assert found == pytest.approx(light[1] - light[0], abs=0.012)
    assert np.abs(DIRECTIONS).mean(axis=0) == pytest.approx(0.5, abs=0.02)


def test_the_background_does_not_count() -> None:
    assert distance(colour_profile(halves(100, 255)), colour_profile(halves(100, 0))) == 0


def test_what_has_no_colours_is_left_out() -> None:
    target = ColourTarget(profiles_of([halves(100)] * 8))
    blank = profiles_of([halves(255)])
    assert np.isnan(target.distance_of(blank))
    mixed = profiles_of([*[halves(100)] * 7, halves(255)])
    assert target.distance_of(mixed) <= SAME_SHARES
    assert compare_colours(mixed, target.profiles, target).num_pairs == 7
    assert compare_colours(blank, blank, target).outcome is Outcome.TOO_FEW


def test_paired_sets() -> None:
    target, base = ColourTarget(profiles_of(GREENS)), profiles_of(colourful(16, 0))
    same = compare_colours(base, base, target)
    assert (same.difference, same.low, same.high, same.outcome) == (0, 0, 0, Outcome.NO_DIFFERENCE)
    better = compare_colours(base, profiles_of(GREENS[:16]), target)
    assert better.low < better.difference < better.high < 0
    assert better.outcome is Outcome.BETTER
    assert better.difference == pytest.approx(better.second - better.first)
    assert compare_colours(profiles_of(GREENS[:16]), base, target).outcome is Outcome.WORSE
    assert compare_colours(base[:5], base[:5], target).outcome is Outcome.TOO_FEW


def test_two_draws_of_one_kind_seldom_differ() -> None:
    target = ColourTarget(profiles_of(GREENS))
    outcomes = [
        compare_colours(profiles_of(colourful(16, 2 * i)), profiles_of(colourful(16, 2 * i + 1)), target).outcome
        for i in range(20)
    ]
    assert outcomes.count(Outcome.NO_DIFFERENCE) >= 17


def test_colours_on_disk(tmp_path: Path) -> None:
    target, profiles = ColourTarget(profiles_of(GREENS)), profiles_of(colourful(8, 0))
    (tmp_path / "colours.npz").write_bytes(pack_colours({0.8: profiles}, target))
    read, goal = read_colours(tmp_path / "colours.npz", 0.8)
    assert np.array_equal(read, profiles)
    assert goal.distance_of(read) == target.distance_of(profiles)
    with pytest.raises(KeyError):
        read_colours(tmp_path / "colours.npz", 1.0)
    for damaged in (b"", b"PK\x03\x04 damaged"):
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises((ValueError, OSError)):
            read_colours(tmp_path / "damaged.npz", 0.8)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", **{"1": np.array([object()], dtype=object), "training": np.zeros(1)})
    with pytest.raises(ValueError, match="pickle"):
        read_colours(tmp_path / "evil.npz", 1.0)
