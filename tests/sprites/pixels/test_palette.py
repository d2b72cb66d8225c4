"""OKLab agrees with its author's table, and a palette is at distance 0 from itself."""

import numpy as np
import pytest

from spritelora.sprites.pixels.palette import TO_LAB, count_colours, nearest_distance, palette_distance, to_oklab

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(
    ("colour", "lab"),
    [  # CSS Color 4's reference values
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((255, 0, 0), (0.6279554, 0.2248631, 0.1258463)),
        ((0, 255, 0), (0.8664396, -0.2338874, 0.1794985)),
        ((0, 0, 255), (0.4520137, -0.0324570, -0.3115281)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
    ],
)
def test_oklab_has_the_published_values(colour: tuple[int, ...], lab: tuple[float, ...]) -> None:
    """To 2e-4, by which CSS's matrices differ from their author's."""
    np.testing.assert_allclose(to_oklab(np.array(colour, np.uint8)), lab, rtol=0, atol=2e-4)


def test_pictures_made_of_a_palette_are_at_distance_0() -> None:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (7, 3), np.uint8)
    images = palette[rng.integers(0, 7, (3, 16, 16))]
    assert palette_distance(images, palette) == 0
    assert palette_distance(images, palette[:3]) > 0.01


def test_the_distance_is_the_mean_over_pixels() -> None:
    black, white, palette = [0, 0, 0], [255, 255, 255], np.zeros((1, 3), np.uint8)
    assert palette_distance(np.array([black, black, black, white], np.uint8), palette) == pytest.approx(0.25, abs=1e-4)


def test_many_colours_in_parts_are_measured_as_alone() -> None:
    rng = np.random.default_rng(0)
    colours, palette = rng.integers(0, 256, (3000, 3), np.uint8), rng.integers(0, 256, (4000, 3), np.uint8)
    together = nearest_distance(colours, palette)
    bound = 20 * np.finfo(np.float64).eps * np.abs(TO_LAB).sum()  # products of other shapes sum in other orders
    np.testing.assert_allclose(together[:5], nearest_distance(colours[:5], palette), rtol=0, atol=bound)


def test_colours_are_counted() -> None:
    images = np.array([[[1, 2, 3], [1, 2, 3]], [[9, 9, 9], [1, 2, 3]]], np.uint8)
    colours, counts = count_colours(images)
    assert dict(zip(map(tuple, colours.tolist()), counts.tolist(), strict=True)) == {(1, 2, 3): 3, (9, 9, 9): 1}
