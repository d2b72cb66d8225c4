"""What stands on one colour is told from it to the pixel, through JPEG and halos; what fills its image is no figure."""

import io

import numpy as np
import pytest
from PIL import Image

from spritelora.embedded.drawn import sample_spec
from spritelora.embedded.drawn.drawn_sprite import draw_cells
from spritelora.embedded.drawn.ramps import COLOURS, vary_colour
from spritelora.embedded.drawn.render import render
from spritelora.sprites.backgrounds.ground import Ground, Shape, cut_ground, find_standing
from spritelora.sprites.pixels.image import Pixels, scale_nearest
from spritelora.sprites.pixels.native import detect_scale, to_native
from spritelora.sprites.pixels.outline import Mask, flood_border

MAGENTA, WHITE, TEAL = (255, 0, 255), (255, 255, 255), (0, 128, 128)
UNUSED = (1, 2, 3)
DARK, RED = (40, 20, 60, 255), (200, 30, 40, 255)


def opaque(rgb: Pixels) -> Pixels:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, dtype=np.uint8)])


def drawn_on(colours: list[tuple[int, int, int]], number: int, seed: int = 0) -> list[tuple[Pixels, Mask]]:
    """Drawn sprites, each flattened on one of the colours in turn, with what the sprite truly covers."""
    rng = np.random.default_rng(seed)
    sprites: list[tuple[Pixels, Mask]] = []
    for i in range(number):
        spec = sample_spec(rng)
        cells, colour = draw_cells(spec, rng), vary_colour(COLOURS[spec.colour], rng)
        on_unused = render(cells, spec.style, colour, UNUSED)
        sprites.append(
            (opaque(render(cells, spec.style, colour, colours[i % len(colours)])), (on_unused != UNUSED).any(axis=-1))
        )
    return sprites


def figure(ground: tuple[int, int, int], size: int = 14) -> Pixels:
    """A red square with a dark outline in the middle of a ground."""
    sprite = np.full((size, size, 4), (*ground, 255), dtype=np.uint8)
    sprite[3:-3, 3:-3] = DARK
    sprite[4:-4, 4:-4] = RED
    return sprite


def test_a_figure_is_cut_out_and_holes_only_where_asked() -> None:
    sprite = figure(MAGENTA)
    sprite[6:8, 6:8, :3] = MAGENTA
    standing = find_standing(sprite)
    assert standing is not None
    assert (standing.ground, standing.shape, standing.num_enclosed) == (Ground(MAGENTA), Shape.figure, 4)
    outer, all_of_it = (cut_ground(sprite, Ground(MAGENTA, holes))[..., 3] for holes in (False, True))
    assert (int((outer == 0).sum()), int((all_of_it == 0).sum())) == (14 * 14 - 64, 14 * 14 - 60)
    kept = cut_ground(sprite, Ground(MAGENTA))
    assert np.array_equal(kept[outer > 0], sprite[outer > 0])


@pytest.mark.parametrize(("light", "is_sealed"), [(WHITE, True), ((20, 20, 20), False)])
def test_a_darker_outline_parts_figure_and_ground(light: tuple[int, int, int], is_sealed: bool) -> None:
    standing = find_standing(figure(light))
    assert standing is not None
    assert standing.is_sealed is is_sealed


def test_tiles_are_no_figures() -> None:
    flat = np.full((16, 16, 4), (118, 59, 54, 255), dtype=np.uint8)
    stones, framed, open_sky = flat.copy(), flat.copy(), flat.copy()
    stones[[3, 7, 11], [4, 9, 3], :3] = 200
    framed[1:-1, 1:-1] = RED
    open_sky[8:] = RED  # half of its border is another colour
    shapes = [s and s.shape for s in map(find_standing, (flat, stones, framed))]
    assert shapes == [Shape.empty, Shape.scattered, Shape.framed]
    standing = find_standing(open_sky)
    assert standing is not None
    assert 0.5 <= standing.border_share < 0.6
    clear = figure(WHITE)
    clear[0, 0, 3] = 0
    assert find_standing(clear) is None
    assert find_standing(figure(WHITE), colour=MAGENTA) is None


@pytest.mark.parametrize("factor", [4, 6, 11, 16])
def test_jpeg_noise_leaves_the_outline_where_it_was(factor: int) -> None:
    common = united = 0
    for sprite, covered in drawn_on([WHITE, MAGENTA, (0, 255, 0), TEAL], 40):
        stream = io.BytesIO()
        Image.fromarray(scale_nearest(sprite[..., :3], factor)).save(stream, "JPEG", quality=90)
        image = np.asarray(Image.open(stream).convert("RGBA"))
        scale = detect_scale(image)
        native = to_native(image, scale)
        standing = find_standing(native, not scale.exact)
        assert standing is not None
        holes = ~covered & ~flood_border(~covered)
        cut = cut_ground(native, standing.ground)[..., 3] > 0
        common += int((cut & (covered | holes)).sum())
        united += int((cut | covered | holes).sum())
    assert common >= 0.99 * united


def test_a_half_mixed_pixel_belongs_to_the_side_that_it_has_more_of() -> None:
    sprite = figure(WHITE, 20)
    for row, share in ((5, 0.7), (9, 0.3)):
        sprite[row, 2] = np.round(share * np.array(DARK) + (1 - share) * 255)
    noisy = Ground(WHITE, is_noisy=True)
    cut = cut_ground(sprite, noisy)
    assert cut[5, 2].tolist() == [*DARK]
    assert cut[9, 2, 3] == 0
    assert np.array_equal(cut[3:-3, 3:-3], sprite[3:-3, 3:-3])


def test_noise_is_told_from_a_palette() -> None:
    quiet, noisy = figure(WHITE, 24), figure(WHITE, 24)
    quiet[2, 3:-3, :3] = 246  # one light colour of the artist's
    rng = np.random.default_rng(3)
    rim = noisy[1:-1, 1:-1, :3]
    rim[(rim == 255)] -= rng.integers(0, 9, int((rim == 255).sum())).astype(np.uint8)
    assert [s and s.ground.is_noisy for s in map(find_standing, (quiet, noisy))] == [False, True]
