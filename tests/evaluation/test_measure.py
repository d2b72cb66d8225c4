"""Clean sprites are at every metric's best, on the wanted grid and on the one found; what cannot be measured is NaN."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.embedded.drawn import draw_demo_set
from spritelora.errors import DatasetError
from spritelora.evaluation.colours import Palette, palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Measured, Reference, measure_image, measure_images
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.evaluation.registry import METRICS
from spritelora.sprites.pixels.image import apply_matte, read_sprite, scale_nearest
from tests.bounds import oklab_error
from tests.evaluation.corruptions import draw_native, enlarge

pytestmark = pytest.mark.numeric

AT_BEST = (
    "pitch_error_px",
    "fraction_px",
    "phase_px",
    "drift_px",
    "off_grid",
    "cell_spread",
    "snap_residual",
    "in_between",
    "halo",
    "palette_distance",
    "seam",
)
SAME_COLOUR = 2 * float(np.linalg.norm(oklab_error()))
"""The largest distance that one colour may have to itself where an image is in OKLab in fp32."""
BLACK = Reference(Palette(np.zeros((1, 3), np.uint8), np.ones(1)))
DCSS = Path("/work/shared/data/dcss/items")


def assert_clean(measured: Measured, native: np.ndarray) -> None:
    for name in AT_BEST:
        assert measured.values[name] == pytest.approx(METRICS[name].best, abs=SAME_COLOUR), name
    np.testing.assert_array_equal(measured.native, native)


@pytest.mark.parametrize("factor", [2, 3, 5, 8, 16])
@pytest.mark.parametrize("given", [True, False])
def test_clean_sprites_are_at_the_best_of_every_metric(factor: int, given: bool) -> None:
    sprites = draw_native(12, seed=1)
    reference = Reference(palette_of(sprites), SpriteIndex(sprites))
    for number, sprite in enumerate(sprites):
        measured = measure_image(scale_nearest(sprite, factor), reference, Grid(factor) if given else None)
        assert_clean(measured, sprite)
        assert measured.values["pitch_px"] == factor
        assert measured.values["copy_distance"] == 0
        assert measured.match is not None
        assert measured.match.sprite == number


def test_the_demo_set_has_its_four_greens_and_each_sprite_of_it_all_of_them() -> None:
    sprites = [np.asarray(image) for image, _ in draw_demo_set()][:8]
    values = measure_images([enlarge(sprite) for sprite in sprites], Reference(palette_of(sprites)), Grid(8))
    assert set(values["num_colours"]) == {4}
    assert values["palette_coverage"] == pytest.approx(1)  # a sum of shares


@pytest.mark.skipif(not DCSS.is_dir(), reason="the tiles of another game are not here")
def test_sprites_drawn_by_people_are_at_the_best_too() -> None:
    sprites = [apply_matte(read_sprite(file), (255, 255, 255)) for file in sorted(DCSS.glob("*.png"))[::6]]
    reference = Reference(palette_of(sprites))
    for sprite in sprites:
        values = measure_image(scale_nearest(sprite, 4), reference).values
        assert values["pitch_px"] == 4
        assert [values[n] for n in ("off_grid", "in_between")] == [0, 0]
        assert max(values["snap_residual"], values["palette_distance"]) <= SAME_COLOUR


def test_a_grid_out_of_phase_is_told_from_a_broken_one() -> None:
    native = draw_native(1, seed=2)[0]
    moved = np.roll(enlarge(native), (3, 2), (0, 1))
    wanted, found = measure_image(moved, BLACK, Grid(8)).values, measure_image(moved, BLACK)
    assert wanted["phase_px"] == pytest.approx(3)
    assert wanted["drift_px"] == pytest.approx(0, abs=SAME_COLOUR)
    assert wanted["off_grid"] == 1
    assert found.values["phase_px"] == pytest.approx(0, abs=SAME_COLOUR)
    assert found.values["off_grid"] == 0
    assert found.values["snap_residual"] <= SAME_COLOUR
    np.testing.assert_array_equal(found.native, native[:-1, :-1])
    at_offset = measure_image(moved, BLACK, Grid(8, (2, 3))).values
    assert at_offset["phase_px"] == pytest.approx(0, abs=SAME_COLOUR)
    assert at_offset["off_grid"] == 0


def test_two_phases_in_one_image_drift_apart() -> None:
    image = enlarge(draw_native(1, seed=3)[0])
    image[64:] = np.roll(image[64:], 4, axis=1)
    assert measure_image(image, BLACK, Grid(8)).values["drift_px"] > 1


def test_noise_has_no_grid_and_its_cells_say_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    values = measure_image(noise, BLACK).values
    assert (values["pitch_px"], values["fraction_px"]) == (1, 0.5)
    assert math.isnan(values["snap_residual"])
    assert measure_image(noise, BLACK, Grid(8)).values["off_grid"] == pytest.approx(7 / 8, abs=0.03)


def test_a_flat_image_has_no_edges_to_measure() -> None:
    values = measure_image(np.full((64, 64, 3), 7, np.uint8), BLACK, Grid(8)).values
    assert all(math.isnan(values[n]) for n in ("pitch_px", "phase_px", "drift_px", "off_grid", "in_between", "halo"))
    assert (values["snap_residual"], values["num_colours"], values["seam"]) == (0, 1, 0)


def test_scenery_to_the_border_has_no_halo_and_no_nearest_sprite_when_larger() -> None:
    rng = np.random.default_rng(0)
    reference = Reference(BLACK.palette, SpriteIndex(draw_native(2, seed=0)))
    values = measure_image(scale_nearest(rng.integers(0, 256, (20, 20, 3), np.uint8), 4), reference).values
    assert math.isnan(values["halo"])
    assert math.isnan(values["copy_distance"])


def test_a_fringe_of_half_a_cell_is_a_halo_of_its_own_strength() -> None:
    native = np.full((8, 8, 3), 255, np.uint8)
    native[3:5, 3:5] = 0
    image = scale_nearest(native, 8)
    image[24:40, 40:41] = 0  # one column of pixels right of the sprite, in 2 of the 12 cells around it
    values = measure_image(image, BLACK, Grid(8)).values
    assert values["halo"] == pytest.approx(2 / 12 / 8, abs=SAME_COLOUR)  # black to white is 1 in OKLab
    assert values["snap_residual"] == pytest.approx(16 / 64**2, abs=SAME_COLOUR)


def test_a_mottled_background_is_one_too() -> None:
    native = draw_native(1, seed=4)[0].astype(int) - np.random.default_rng(0).integers(0, 9, (16, 16, 1))
    assert measure_image(enlarge(np.clip(native, 0, 255).astype(np.uint8)), BLACK, Grid(8)).values["halo"] == 0


def test_a_tile_that_repeats_has_no_seam_and_its_cutting_has() -> None:
    phase = np.arange(16) / 16 * 2 * np.pi
    wave = ((np.sin(phase)[:, None] + np.cos(phase)[None]) * 60 + 128).astype(np.uint8)
    tile = scale_nearest(np.dstack([wave] * 3), 8)
    assert measure_image(tile, BLACK, Grid(8)).values["seam"] < 0.001  # what rounding to code values leaves
    assert measure_image(tile[:72, :72], BLACK, Grid(8)).values["seam"] > 0.1


def test_what_is_not_a_picture_of_whole_cells_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"RGB, \(H, W, 3\) uint8; got \(8, 8, 4\) uint8: convert it"):
        measure_image(np.zeros((8, 8, 4), np.uint8), BLACK)
    with pytest.raises(DatasetError, match="8x6 px has no whole cell of 8 px from 0, 0; give the size of its native"):
        measure_image(np.zeros((6, 8, 3), np.uint8), BLACK, Grid(8))


def test_every_value_has_its_entry_and_stays_in_its_range() -> None:
    sprites = draw_native(4, seed=5)
    reference = Reference(palette_of(sprites), SpriteIndex(sprites))
    soft = [np.asarray(Image.fromarray(sprite).resize((128, 128), Image.Resampling.BICUBIC)) for sprite in sprites]
    values = measure_images(soft, reference, Grid(8))
    assert values.keys() == METRICS.keys() - {"clip"}
    for name, found in values.items():
        low, high = METRICS[name].low, METRICS[name].high
        assert ((found >= low) & (found <= (high if high is not None else math.inf))).all(), name
    assert measure_images([], reference) == {}


def test_large_images_and_palettes_are_measured_without_hanging() -> None:
    """A guard against work that grows with the square, a hundred times what is usual: no claim of speed."""
    rng = np.random.default_rng(0)
    palette = Palette(rng.integers(0, 256, (2000, 3), np.uint8), np.full(2000, 1 / 2000))
    noise = rng.normal(0, 2, (1024, 1024, 3))
    image = np.clip(scale_nearest(rng.integers(0, 256, (64, 64, 3)), 16) + noise, 0, 255).astype(np.uint8)

    start = time.process_time()
    values = measure_image(image, Reference(palette), Grid(16)).values
    assert time.process_time() - start < 30
    assert values["pitch_error_px"] == 0
