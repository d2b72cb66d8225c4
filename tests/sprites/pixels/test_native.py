"""The native pixels of an enlarged sprite are found whole; what has none is not guessed at."""

import time
from pathlib import Path

import numpy as np
import pytest

from spritelora.sprites.pixels.image import Pixels, apply_matte, read_sprite
from spritelora.sprites.pixels.native import MIN_CONFIDENCE, NativeScale, detect_scale, to_native
from tests.sprites.checks.planting import (
    DCSS,
    as_jpeg,
    demo_sprites,
    drawn_sprites,
    enlarge,
    has_odd_runs,
    not_sprites,
    opaque,
    soften,
)

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def sprites() -> list[Pixels]:
    return [sprite for sprite in (*demo_sprites(), *drawn_sprites(60, seed=3)) if has_odd_runs(sprite)]


@pytest.mark.parametrize("factor", range(2, 33))
def test_a_clean_enlargement_is_undone_bit_for_bit_wherever_it_was_cut(factor: int, sprites: list[Pixels]) -> None:
    rng = np.random.default_rng(factor)
    for index in rng.integers(len(sprites), size=12):
        image, offset, native = enlarge(sprites[index], factor, rng)
        scale = detect_scale(image)
        assert (scale.factor, scale.offset, scale.exact) == (factor, offset, True)
        assert scale.confidence >= MIN_CONFIDENCE
        assert np.array_equal(to_native(image, scale), native)


def test_jpegs_of_quality_90_are_read_right_and_never_wrong(sprites: list[Pixels]) -> None:
    rng = np.random.default_rng(1)
    right = total = 0
    for factor in range(4, 17):
        for index in rng.integers(len(sprites), size=12):
            image, offset, native = enlarge(sprites[index], factor, rng)
            image = as_jpeg(image)
            scale = detect_scale(image)
            found = (scale.factor, scale.offset) == (factor, offset)
            assert found or scale.confidence < 0.5
            total += 1
            right += found
            if found:
                assert np.abs(to_native(image, scale)[..., :3].astype(int) - native[..., :3]).mean() < 4
    assert right >= 0.95 * total


def test_softened_edges_leave_the_scale_and_the_colours(sprites: list[Pixels]) -> None:
    rng = np.random.default_rng(2)
    right = total = 0
    for factor in range(5, 33):
        for index in rng.integers(len(sprites), size=4):
            image, offset, native = enlarge(sprites[index], factor, rng)
            scale = detect_scale(soften(image, factor, offset))
            total += 1
            # A mixture in half and half belongs to both sides, so the boundary may be put on either.
            near = all((found - true) % factor in (0, 1) for found, true in zip(scale.offset, offset, strict=True))
            right += scale.factor == factor and near
            assert scale.factor in (1, factor)
            if scale.factor == factor and scale.offset == offset:
                assert np.array_equal(to_native(soften(image, factor, offset), scale), native)
    assert right >= 0.9 * total


def test_a_sprite_at_native_size_is_scale_1_for_sure(sprites: list[Pixels]) -> None:
    for sprite in (*sprites, *drawn_sprites(200, seed=9)):
        scale = detect_scale(sprite)
        assert (scale.factor, scale.offset) == (1, (0, 0))
        assert to_native(sprite, scale) is sprite
    assert np.mean([detect_scale(sprite).confidence for sprite in sprites]) > 0.95


def test_photographs_noise_and_gradients_are_refused() -> None:
    for name, image in not_sprites(np.random.default_rng(4)):
        scale = detect_scale(image)
        assert scale.factor == 1, name
        assert scale.confidence < 0.5, name


@pytest.mark.parametrize("case", ["one colour", "transparent", "one edge", "stripes", "one square"])
def test_too_few_edges_are_no_guess(case: str) -> None:
    image = np.full((96, 96, 4), 255, dtype=np.uint8)
    if case == "transparent":
        image[..., 3] = 0
    elif case == "one edge":
        image[:, 48:, :3] = 0
    elif case == "stripes":
        image[(np.arange(96) // 8) % 2 == 0, :, :3] = 0
    elif case == "one square":
        image[32:64, 32:64, :3] = 0
    scale = detect_scale(image)
    assert (scale.factor, scale.offset) == (1, (0, 0))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 7)])
@pytest.mark.filterwarnings("error")
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    scale = detect_scale(image)
    assert scale.factor == 1
    assert np.array_equal(to_native(image, scale), image)


def test_colour_hidden_under_alpha_0_changes_neither_scale_nor_native_colours(sprites: list[Pixels]) -> None:
    rng = np.random.default_rng(5)
    sprite = sprites[0].copy()
    sprite[(sprite[..., :3] == sprite[0, 0, :3]).all(axis=2)] = 0
    image = sprite.repeat(8, axis=0).repeat(8, axis=1)
    loud = image.copy()
    hidden = loud[..., 3] == 0
    loud[hidden, :3] = rng.integers(0, 256, (int(hidden.sum()), 3))
    assert detect_scale(loud) == detect_scale(image)
    not_flat = NativeScale(8, (0, 0), 1.0, False)
    assert np.array_equal(to_native(loud, not_flat), sprite)


def test_a_native_pixel_that_is_part_transparent_takes_the_colour_of_its_visible_part() -> None:
    image = np.zeros((8, 8, 4), dtype=np.uint8)
    image[:, :, :3] = (0, 255, 0)
    image[:, 3:] = (200, 0, 0, 255)
    assert to_native(image, NativeScale(8, (0, 0), 1.0, False)).tolist() == [[[200, 0, 0, 255]]]


def test_one_pixel_of_the_finest_grid_decides_even_in_a_jpeg(sprites: list[Pixels]) -> None:
    twice = sprites[0].repeat(2, axis=0).repeat(2, axis=1)
    assert detect_scale(twice.repeat(8, axis=0).repeat(8, axis=1)).factor == 16
    twice[13, 15] = (255, 0, 255, 255)
    image = twice.repeat(8, axis=0).repeat(8, axis=1)
    assert detect_scale(image).factor == 8
    assert detect_scale(as_jpeg(image)).factor == 8


def test_a_large_image_is_read_without_hanging_whatever_it_shows(sprites: list[Pixels]) -> None:
    """A guard against work that grows with the square, a hundred times what is usual: no claim of speed."""
    noise = opaque(np.random.default_rng(6).integers(0, 256, (1024, 1024, 3), dtype=np.uint8))
    sprite = sprites[0].repeat(64, axis=0).repeat(64, axis=1)
    for image in (noise, sprite, as_jpeg(sprite)):
        start = time.process_time()
        detect_scale(image)
        assert time.process_time() - start < 30
    assert detect_scale(as_jpeg(sprite)).factor == 64


@pytest.mark.skipif(not DCSS.is_dir(), reason="the shared sprites are not here")
def test_published_sprites_are_scale_1_and_come_back_from_a_jpeg() -> None:
    files: list[Path] = sorted(DCSS.glob("*/*.png"))
    rng = np.random.default_rng(7)
    right = 0
    for index, file in enumerate(files):
        sprite = read_sprite(file)
        assert detect_scale(sprite).factor == 1, file
        factor = 4 + index % 13
        image, offset, _ = enlarge(opaque(apply_matte(sprite, (200, 180, 220))), factor, rng)
        scale = detect_scale(as_jpeg(image))
        found = (scale.factor, scale.offset) == (factor, offset)
        assert found or scale.confidence < 0.5, file
        right += found
    assert right >= 0.95 * len(files)
