"""An outline is what meets the ground: it follows sides, leaves holes out, and keeps its shares when enlarged."""

import numpy as np
import pytest

from spritelora.sprites.pixels.image import scale_nearest
from spritelora.sprites.pixels.outline import flood_border, outer_sides


def test_flooding_goes_along_sides_not_across_corners() -> None:
    mask = np.eye(5, dtype=np.bool_)
    assert flood_border(mask).sum() == 2
    mask[1, 2] = mask[0, 2] = True
    assert flood_border(mask)[2, 2]


def step_by_step(mask: np.ndarray) -> np.ndarray:
    """Flooding as one would do it by hand: each pixel asks its four neighbours."""
    height, width = mask.shape
    todo = [(y, x) for y in range(height) for x in range(width) if y in (0, height - 1) or x in (0, width - 1)]
    reached = np.zeros_like(mask)
    while todo:
        y, x = todo.pop()
        if 0 <= y < height and 0 <= x < width and mask[y, x] and not reached[y, x]:
            reached[y, x] = True
            todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return reached


@pytest.mark.parametrize("seed", range(12))
def test_flooding_reaches_what_neighbours_reach(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 40, 2)) < rng.uniform(0.4, 0.8)
    assert (flood_border(mask) == step_by_step(mask)).all()


def test_a_spiral_is_followed_to_its_end() -> None:
    mask = np.zeros((21, 21), dtype=np.bool_)
    y, x, dy, dx = 0, 0, 0, 1
    for length in [20, *(n for n in range(20, 0, -2) for _ in (0, 1))]:
        for _ in range(length):
            mask[y, x] = True
            y, x = y + dy, x + dx
        dy, dx = dx, -dy
    assert mask.sum() > 200
    assert (flood_border(mask) == mask).all()


def test_sides_at_a_hole_or_at_other_pixels_do_not_count_and_those_at_the_images_border_do() -> None:
    alpha = np.zeros((7, 6), dtype=np.uint8)
    alpha[1:6, 0:5] = 255
    alpha[3, 2] = 0
    sides = outer_sides(alpha)
    assert sides.sum() == 20
    assert sides[1].tolist() == [2, 1, 1, 1, 2, 0]
    assert sides[3].tolist() == [1, 0, 0, 0, 1, 0]
    assert outer_sides(np.full((1, 1), 1, dtype=np.uint8)).tolist() == [[4]]


@pytest.mark.parametrize("seed", range(6))
def test_enlarging_multiplies_the_sides_of_each_pixel(seed: int) -> None:
    alpha = (np.random.default_rng(seed).random((9, 12)) < 0.6).astype(np.uint8) * 255
    large = outer_sides(scale_nearest(alpha[..., None], 3)[..., 0])
    assert (large.reshape(9, 3, 12, 3).sum(axis=(1, 3)) == 3 * outer_sides(alpha)).all()
