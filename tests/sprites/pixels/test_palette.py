"""OKLab agrees with its author's table, and colours are counted."""

import numpy as np
import pytest

from spritelora.sprites.pixels.palette import count_colours, to_oklab

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


def test_colours_are_counted() -> None:
    images = np.array([[[1, 2, 3], [1, 2, 3]], [[9, 9, 9], [1, 2, 3]]], np.uint8)
    colours, counts = count_colours(images)
    assert dict(zip(map(tuple, colours.tolist()), counts.tolist(), strict=True)) == {(1, 2, 3): 3, (9, 9, 9): 1}
