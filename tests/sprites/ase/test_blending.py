"""Blend modes, by numbers and laws that their definition gives."""

from pathlib import Path

import numpy as np
import pytest

from spritelora.sprites.pixels.image import read_sprite
from tests.sprites.ase import made_files as made
from tests.sprites.ase.made_files import File

pytestmark = pytest.mark.numeric

BELOW = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
ABOVE = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
BELOW[0], ABOVE[0, ::2], ABOVE[0, 1::2], BELOW[1], ABOVE[1, ::2] = 0, 0, 255, 255, 0
MULTIPLY, SCREEN, OVERLAY, DARKEN, LIGHTEN, DODGE, BURN, HARD, SOFT, DIFFERENCE, EXCLUSION = range(1, 12)
HUE, SATURATION, COLOR, LUMINOSITY, ADDITION, SUBTRACT, DIVIDE = range(12, 19)


def draw(
    mode: int, below: np.ndarray, above: np.ndarray, folder: Path, alpha: int = 255, under: int = 255
) -> np.ndarray:
    """Both laid over one another by the reader, (H, W, 4)."""

    def filled(rgb: np.ndarray, a: int) -> np.ndarray:
        return np.dstack([rgb, np.full(rgb.shape[:2], a, dtype=np.uint8)])

    chunks = [
        made.layer("a"),
        made.layer("b", mode=mode),
        made.cel(0, filled(below, under)),
        made.cel(1, filled(above, alpha)),
    ]
    file = folder / "a.aseprite"
    file.write_bytes(File((16, 16), [chunks]).encode())
    return read_sprite(file).astype(int)


def luminosity(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.3, 0.59, 0.11])


def saturation(rgb: np.ndarray) -> np.ndarray:
    return rgb.max(axis=-1) - rgb.min(axis=-1)


@pytest.mark.parametrize(
    ("mode", "formula"),
    [
        (MULTIPLY, lambda b, s: b * s / 255),
        (SCREEN, lambda b, s: 255 - (255 - b) * (255 - s) / 255),
        (DARKEN, np.minimum),
        (LIGHTEN, np.maximum),
        (DIFFERENCE, lambda b, s: abs(b - s)),
        (EXCLUSION, lambda b, s: b + s - 2 * b * s / 255),
        (ADDITION, lambda b, s: np.minimum(255, b + s)),
        (SUBTRACT, lambda b, s: np.maximum(0, b - s)),
        (HARD, lambda b, s: np.where(2 * s <= 255, 2 * b * s / 255, 255 - 2 * (255 - b) * (255 - s) / 255)),
        (OVERLAY, lambda b, s: np.where(2 * b <= 255, 2 * b * s / 255, 255 - 2 * (255 - b) * (255 - s) / 255)),
    ],
)
def test_a_mode_is_its_formula(mode: int, formula, tmp_path: Path) -> None:
    result = draw(mode, BELOW, ABOVE, tmp_path)
    assert (result[..., 3] == 255).all()
    assert abs(result[..., :3] - formula(BELOW.astype(float), ABOVE.astype(float))).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("mode", "below", "above", "expected"),
    [
        (DODGE, 0, 255, 0), (DODGE, 1, 255, 255), (DODGE, 51, 204, 255), (DODGE, 51, 0, 51), (DODGE, 100, 51, 125),
        (BURN, 255, 0, 255), (BURN, 254, 0, 0), (BURN, 204, 51, 0), (BURN, 204, 255, 204), (BURN, 204, 204, 191),
        (DIVIDE, 0, 0, 0), (DIVIDE, 9, 0, 255), (DIVIDE, 100, 200, 128), (DIVIDE, 200, 100, 255),
        (SOFT, 51, 0, 10), (SOFT, 51, 255, 114), (SOFT, 204, 255, 228), (SOFT, 0, 255, 0), (SOFT, 255, 0, 255),
    ],
)  # fmt: skip
def test_a_mode_has_the_value_of_its_definition(
    mode: int, below: int, above: int, expected: int, tmp_path: Path
) -> None:
    grey = [np.full((16, 16, 3), value, dtype=np.uint8) for value in (below, above)]
    assert draw(mode, *grey, tmp_path)[0, 0].tolist() == [expected] * 3 + [255]


def test_modes_of_hue_keep_what_they_do_not_take(tmp_path: Path) -> None:
    b, s = BELOW.astype(float), ABOVE.astype(float)
    for mode, lightness in ((HUE, b), (SATURATION, b), (COLOR, b), (LUMINOSITY, s)):
        result = draw(mode, BELOW, ABOVE, tmp_path)[..., :3]
        assert abs(luminosity(result) - luminosity(lightness)).max() <= 0.5 + 1e-6
    grey = np.full((16, 16, 3), 90, dtype=np.uint8)
    assert (saturation(draw(SATURATION, BELOW, grey, tmp_path)[..., :3]) == 0).all()
    assert (saturation(draw(COLOR, BELOW, grey, tmp_path)[..., :3]) == 0).all()
    dull = np.full((16, 16, 3), 128, dtype=np.uint8)
    dull[..., 0] = 140
    moved = draw(SATURATION, dull, np.dstack([BELOW[..., 0] * 0 + 30, BELOW[..., 0] * 0, BELOW[..., 0] * 0]), tmp_path)
    assert abs(saturation(moved[..., :3]) - 30).max() <= 1


@pytest.mark.parametrize("mode", range(1, 19))
def test_over_nothing_a_layer_of_any_mode_is_itself_and_a_clear_one_changes_nothing(mode: int, tmp_path: Path) -> None:
    assert np.array_equal(draw(mode, BELOW, ABOVE, tmp_path, under=0)[..., :3], ABOVE)
    assert np.array_equal(draw(mode, BELOW, ABOVE, tmp_path, alpha=0)[..., :3], BELOW)


@pytest.mark.parametrize("mode", range(1, 19))
def test_half_a_layer_lies_halfway(mode: int, tmp_path: Path) -> None:
    whole, half = (draw(mode, BELOW, ABOVE, tmp_path, alpha=alpha)[..., :3] for alpha in (255, 51))
    assert abs(half - (BELOW + (whole - BELOW) / 5)).max() <= 0.5 + 0.5 / 5 + 1e-9
