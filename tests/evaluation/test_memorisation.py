"""A training sprite that was planted is found wherever it went; a sprite of another subject is not taken for one."""

import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.errors import DatasetError
from spritelora.evaluation.memorisation import FLIPS, MEMORISED_BELOW, Match, SpriteIndex
from tests.bounds import half_the_digits
from tests.evaluation.corruptions import draw_native

pytestmark = pytest.mark.numeric

Pixels = NDArray[np.uint8]

KNOWN, OTHER = list(SUBJECTS)[::2], list(SUBJECTS)[1::2]
NOISE = 8
"""Standard deviation in code values of 255: several times what a decoder adds."""


@pytest.fixture(scope="module")
def sprites() -> list[Pixels]:
    return [sprite for seed, subject in enumerate(KNOWN) for sprite in draw_native(10, seed, subject=subject)]


@pytest.fixture(scope="module")
def index(sprites: list[Pixels]) -> SpriteIndex:
    return SpriteIndex(sprites)


def turn(sprite: Pixels, flip: str) -> Pixels:
    """Turn a sprite over about its row and column 0."""
    for axis, name in enumerate(("upside down", "left-right")):
        if name in flip:
            sprite = np.roll(np.flip(sprite, axis), 1, axis)
    return sprite


@pytest.mark.parametrize("flip", FLIPS)
def test_a_planted_sprite_is_named_with_its_flip_and_its_shift(sprites: list[Pixels], flip: str) -> None:
    crooked = np.full((16, 16, 3), 255, np.uint8)
    crooked[4:11, 5], crooked[10, 5:9], crooked[4, 5:7] = (200, 30, 30), (30, 30, 200), (20, 120, 20)
    with_it = SpriteIndex([*sprites, crooked])
    planted = np.roll(turn(crooked, flip), (3, 14), (0, 1))
    assert with_it.nearest(planted) == Match(len(sprites), 0.0, flip, (14, 3))


def test_planted_sprites_are_flagged_shifted_flipped_and_under_noise(sprites: list[Pixels], index: SpriteIndex) -> None:
    rng = np.random.default_rng(0)
    for sprite in sprites:
        moved = np.roll(turn(sprite, str(rng.choice(FLIPS))), rng.integers(-3, 4, 2), (0, 1))
        assert index.nearest(moved).distance == 0
        noisy = np.clip(moved + rng.normal(0, NOISE, moved.shape), 0, 255).astype(np.uint8)
        assert index.nearest(noisy).memorised


def test_another_background_does_not_hide_a_copy(sprites: list[Pixels], index: SpriteIndex) -> None:
    on_white = [number for number, sprite in enumerate(sprites) if sprite[0, 0].min() == 255][::5]
    assert len(on_white) > 5
    for number in on_white:
        on_grey = sprites[number].copy()
        on_grey[(on_grey == 255).all(-1)] = 235
        assert index.nearest(on_grey).sprite == number
        assert index.nearest(on_grey).memorised


def test_no_unrelated_sprite_is_flagged(index: SpriteIndex) -> None:
    unrelated = [sprite for seed, subject in enumerate(OTHER) for sprite in draw_native(4, 100 + seed, subject=subject)]
    distances = np.array([index.nearest(sprite).distance for sprite in unrelated])
    assert distances.min() > MEMORISED_BELOW
    assert distances.max() <= 1


def test_the_distance_is_what_trying_every_flip_and_shift_finds(sprites: list[Pixels]) -> None:
    from spritelora.sprites.pixels.palette import to_oklab

    def centred(picture: Pixels) -> NDArray[np.float64]:
        return to_oklab(picture) - to_oklab(np.median(picture.reshape(-1, 3), axis=0).round().astype(np.uint8))

    one, two = sprites[3], sprites[57]
    fixed, other = centred(one), centred(two)
    tries = [
        np.linalg.norm(fixed - np.roll(centred(turn(two, flip)), (y, x), (0, 1)))
        for flip in FLIPS
        for y in range(16)
        for x in range(16)
    ]
    expected = min(tries) / np.hypot(np.linalg.norm(fixed), np.linalg.norm(other))
    same = half_the_digits(torch.float32)  # spectra are in fp32
    assert SpriteIndex([two]).nearest(one).distance == pytest.approx(expected, rel=same)


def test_smaller_sprites_are_laid_on_the_matte(sprites: list[Pixels]) -> None:
    small = np.full((6, 5, 3), 255, np.uint8)
    small[1:5, 1:3] = (200, 30, 30)
    image = np.full((16, 16, 3), 255, np.uint8)
    image[8:14, 2:7] = small
    found = SpriteIndex([small, sprites[0]]).nearest(image)
    assert (found.sprite, found.distance) == (0, 0)


def test_sprites_that_cannot_be_compared_are_refused(sprites: list[Pixels]) -> None:
    with pytest.raises(DatasetError, match="no training sprites to compare with; give at least one"):
        SpriteIndex([])
    with pytest.raises(DatasetError, match="24x20 native pixels, but the training sprites have at most 16x16; give"):
        SpriteIndex(sprites[:1]).nearest(np.zeros((20, 24, 3), np.uint8))


def test_images_among_a_thousand_sprites_do_not_hang() -> None:
    """A guard against trying every shift of every sprite, a hundred times what is usual: no claim of speed."""
    rng = np.random.default_rng(0)
    index = SpriteIndex(list(rng.integers(0, 256, (1000, 32, 32, 3), np.uint8)))
    images = rng.integers(0, 256, (10, 32, 32, 3), np.uint8)
    start = time.process_time()
    for image in images:
        index.nearest(image)
    assert time.process_time() - start < 30
