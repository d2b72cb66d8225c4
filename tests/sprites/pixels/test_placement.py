"""Sprites are enlarged by whole factors on the latent grid, and come back to the bit."""

import io

import numpy as np
import pytest
from PIL import Image

from spritelora.sprites.pixels.placement import (
    Fit,
    canvas_shapes,
    draw_on_canvas,
    fit_sprite,
    in_middle,
    largest_factor,
    pair_text,
    parse_pair,
    stretch_sprite,
    take_from_canvas,
    tile_corners,
    tiling_factor,
    uniform_factor,
)
from spritelora.sprites.prepare.png import encode_image, encode_mask

SIZES = [(16, 16), (10, 7), (21, 32), (1, 1), (100, 3), (64, 65), (127, 128)]
SQUARE = canvas_shapes(1024, buckets=False)


def random_sprite(size: tuple[int, int], num_colours: int = 12) -> np.ndarray:
    rng = np.random.default_rng(size[0] * 1000 + size[1])
    palette = rng.integers(0, 256, (num_colours, 3), dtype=np.uint8)
    return palette[rng.integers(0, num_colours, (size[1], size[0]))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [128, 512, 1024])
def test_the_native_sprite_comes_back_and_the_rest_is_the_fill(size: tuple[int, int], side: int) -> None:
    native = random_sprite(size)
    shapes = canvas_shapes(side, buckets=False)
    fit = fit_sprite(size, uniform_factor([size], shapes), shapes)
    canvas = draw_on_canvas(native, fit, (1, 2, 3))
    assert canvas.shape == (side, side, 3)
    assert np.array_equal(take_from_canvas(canvas, fit, size), native)
    (x, y), factor = fit.offset, fit.factors[0]
    inside = np.zeros((side, side), dtype=bool)
    inside[y : y + size[1] * factor, x : x + size[0] * factor] = True
    assert (canvas[~inside] == (1, 2, 3)).all()
    enlarged = np.kron(native, np.ones((factor, factor, 1)))
    assert np.array_equal(canvas[inside].reshape(enlarged.shape), enlarged)


@pytest.mark.parametrize("size", SIZES)
def test_the_middle_of_a_square_is_exact_to_the_pixel(size: tuple[int, int]) -> None:
    factor = 300 // max(size)
    fit = in_middle(size, factor, 300)
    for offset, length in zip(fit.offset, size, strict=True):
        assert (300 - offset - length * factor) - offset in (0, 1)
    assert np.array_equal(
        take_from_canvas(draw_on_canvas(random_sprite(size), fit, (1, 2, 3)), fit, size), random_sprite(size)
    )


@pytest.mark.parametrize("size", SIZES)
def test_places_lie_on_latent_cells_and_near_the_middle(size: tuple[int, int]) -> None:
    factor = uniform_factor([size], SQUARE)
    fit = fit_sprite(size, factor, SQUARE)
    assert [o % 8 for o in fit.offset] == [0, 0]
    for offset, length in zip(fit.offset, size, strict=True):
        below = 1024 - offset - length * factor
        assert -1 <= below - offset < 2 * max(factor, 8)


@pytest.mark.parametrize(("sizes", "factor"), [
    ([(32, 32)], 32), ([(16, 16), (32, 32)], 32), ([(40, 40)], 24), ([(128, 128)], 8), ([(129, 16)], 7),
    ([(1024, 1)], 1),
])  # fmt: skip
def test_one_factor_for_a_set_is_a_multiple_of_8_where_it_fits(sizes: list[tuple[int, int]], factor: int) -> None:
    assert uniform_factor(sizes, SQUARE) == factor


def test_sprites_of_a_set_share_one_grid_from_the_corner_on() -> None:
    fits = [fit_sprite((w, h), 24, SQUARE) for w in range(1, 43) for h in (1, 20, 41)]
    assert {o % 24 for fit in fits for o in fit.offset} == {0}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="33x10 sprite pixels times 32 do not fit 1024x1024"):
        fit_sprite((33, 10), 32, SQUARE)
    assert largest_factor((1025, 10), SQUARE) == 0


@pytest.mark.parametrize(("size", "factors", "fills"), [((32, 16), (32, 64), True), ((21, 30), (48, 34), False)])
def test_stretching_fills_by_whole_factors(size: tuple[int, int], factors: tuple[int, int], fills: bool) -> None:
    fit = stretch_sprite(size, SQUARE)
    native = random_sprite(size)
    assert fit.factors == factors
    canvas = draw_on_canvas(native, fit, (255, 0, 255))
    assert np.array_equal(take_from_canvas(canvas, fit, size), native)
    assert (canvas != (255, 0, 255)).any(axis=-1).all() == fills


@pytest.mark.parametrize("side", [128, 256, 512, 1024])
def test_buckets_are_multiples_of_64_of_nearly_the_same_area(side: int) -> None:
    shapes = canvas_shapes(side, buckets=True)
    assert shapes[0] == (side, side)
    assert all(n % 64 == 0 for shape in shapes for n in shape)
    assert all(0.9 <= w * h / side**2 <= 1 and max(w, h) <= 4 * min(w, h) for w, h in shapes)
    assert {(h, w) for w, h in shapes} == set(shapes)


def test_at_1024_the_buckets_are_sdxls_own() -> None:
    """Width and height as in appendix I of the SDXL paper, the wide half of it."""
    wide = """1024x960 1088x960 1088x896 1152x896 1152x832 1216x832 1280x768 1344x768 1344x704 1408x704 1472x704
    1536x640 1600x640 1664x576 1728x576 1792x576 1856x512 1920x512 1984x512 2048x512"""
    pairs = [parse_pair(text) for text in wide.split()]
    assert set(canvas_shapes(1024, buckets=True)) == {(1024, 1024), *pairs, *((h, w) for w, h in pairs)}


@pytest.mark.parametrize("text", ["832", "832x", "x832", "0x64", "64x-64", "64 x 64", "64.5x64", "1e3x64", "999999x64"])
def test_a_text_that_is_no_width_and_height_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no width and height such as 832x1216"):
        parse_pair(text)
    assert parse_pair(" 832x1216 ") == (832, 1216)
    assert pair_text((832, 1216)) == "832x1216"


def test_native_sprites_come_back_from_every_canvas() -> None:
    """200 sprites of random sizes and colours, on each canvas that holds them by the factor of the whole set."""
    rng = np.random.default_rng(0)
    shapes = canvas_shapes(512, buckets=True)
    sizes = [(int(w), int(h)) for w, h in rng.integers(1, 33, (200, 2))]
    factor = uniform_factor(sizes, shapes)
    used = set()
    for size in sizes:
        native = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
        for own in [shapes, *([shape] for shape in shapes)]:
            if largest_factor(size, own) >= factor:
                fit = fit_sprite(size, factor, own)
                used.add(fit.canvas)
                canvas = draw_on_canvas(native, fit, (1, 2, 3, 4))
                assert canvas.shape[1::-1] == fit.canvas
                assert np.array_equal(take_from_canvas(canvas, fit, size), native)
                assert all(offset % 8 == 0 for offset in fit.offset)
    assert used == set(shapes)


def test_a_tall_sprite_is_larger_in_a_bucket_than_in_the_square() -> None:
    shapes = canvas_shapes(1024, buckets=True)
    factor = uniform_factor([(16, 32)], shapes)
    fit = fit_sprite((16, 32), factor, shapes)
    assert factor > uniform_factor([(16, 32)], SQUARE)
    assert fit.canvas[1] > fit.canvas[0]
    assert fit_sprite((16, 16), factor, shapes).canvas == (1024, 1024)


def test_tiles_cover_a_sprite_once() -> None:
    seen = np.zeros((130, 300), dtype=int)
    for x, y in tile_corners((300, 130), (64, 64)):
        seen[y : y + 64, x : x + 64] += 1
    assert (seen == 1).all()
    assert tiling_factor([(300, 130)], SQUARE) == 8
    assert tiling_factor([(300, 130), (32, 32)], SQUARE) == 32


@pytest.mark.parametrize(("num_colours", "mode"), [(12, "P"), (255, "P"), (3000, "RGB")])
def test_png_bytes_hold_the_canvas_to_the_bit(num_colours: int, mode: str) -> None:
    native = random_sprite((64, 64), num_colours)
    fit = Fit((3, 2), (8, 16), (256, 192))
    image = Image.open(io.BytesIO(encode_image(native, fit, (9, 8, 7))))
    assert image.mode == mode
    assert np.array_equal(np.asarray(image.convert("RGB")), draw_on_canvas(native, fit, (9, 8, 7)))


def test_masks_keep_half_alpha_and_are_none_where_all_is_opaque() -> None:
    fit = Fit((8, 8), (8, 0), (32, 32))
    alpha = np.array([[0, 128], [255, 255]], dtype=np.uint8)
    mask = encode_mask(alpha, fit)
    assert mask is not None
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(mask)).convert("L")), draw_on_canvas(alpha[..., None], fit, (0,))[..., 0]
    )
    assert encode_mask(np.full((4, 4), 255, dtype=np.uint8), Fit((8, 8), (0, 0), (32, 32))) is None
