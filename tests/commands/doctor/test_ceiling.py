"""What an autoencoder alone leaves of sprites: all of them, where it is the identity, and known losses elsewhere."""

import numpy as np
import pytest
import torch

from spritelora.commands.doctor.ceiling import measure_ceiling
from spritelora.errors import DatasetError
from tests.evaluation.corruptions import draw_native

pytestmark = pytest.mark.numeric

SPRITES = draw_native(4, seed=0)


def same(image):
    return image


def test_an_autoencoder_that_loses_nothing_is_no_ceiling() -> None:
    for factor in (2, 3, 8):
        ceiling = measure_ceiling(SPRITES, factor, same)
        assert (ceiling.exact, ceiling.colour_error) == (1, 0)


def test_latent_cells_of_8_px_need_sprite_pixels_of_8_px() -> None:
    def by_cells(image):
        cells = image.reshape(image.shape[0] // 8, 8, image.shape[1] // 8, 8, 3).mean((1, 3))
        return cells.round().astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)

    found = [measure_ceiling(SPRITES, factor, by_cells) for factor in (2, 4, 8, 16)]
    assert [c.exact == 1 for c in found] == [False, False, True, True]
    assert [c.colour_error == 0 for c in found] == [False, False, True, True]
    assert found[0].exact < found[1].exact


def test_an_offset_in_colour_is_locked_away_but_told() -> None:
    found = measure_ceiling(SPRITES, 8, lambda image: np.where(image > 250, image, image + 2).astype(np.uint8))
    assert found.exact == 1
    assert 0 < found.colour_error < 0.02


def test_the_embedded_autoencoder_carries_sprite_pixels_of_a_latent_cell(base) -> None:
    from spritelora.sdxl.files.base import load_vae
    from spritelora.sdxl.latents import round_trip

    vae = load_vae(base, torch.device("cpu"))
    small, whole = (measure_ceiling(SPRITES[:3], factor, lambda image: round_trip(vae, image)) for factor in (4, 8))
    assert small.exact <= 0.99 < whole.exact
    assert whole.colour_error < 0.002 < 0.02 < small.colour_error


def test_no_sprites_are_refused() -> None:
    with pytest.raises(DatasetError, match="no sprites to encode; give at least one"):
        measure_ceiling([], 8, same)
