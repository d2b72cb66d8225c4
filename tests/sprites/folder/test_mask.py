"""What a sprite covers, cell by cell, as drawn and in its variants; test_prepared.py has the masks of prepare."""

from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.data.augment import Augmentation, Variant, list_variants, show_mask, show_variant
from spritelora.sprites.folder.mask import cell_areas, sprite_alpha
from spritelora.sprites.folder.sprite_folder import read_folder, training_image

MATTE = (1, 2, 3)


def test_the_mask_is_where_the_training_image_is_not_matte(sprite_folder: Path) -> None:
    Image.new("RGB", (16, 8), (200, 30, 30)).save(sprite_folder / "sprite_00.png")
    opaque, *others = read_folder(sprite_folder, 128)
    for sprite in (opaque, *others):
        image = training_image(sprite, MATTE)
        assert np.array_equal(sprite_alpha(sprite) > 0, (image != np.array(MATTE)).any(axis=-1))
    assert cell_areas(sprite_alpha(opaque)).mean() == 0.5  # whole; what pads it to a square is not of it


def test_cells_have_the_area_that_is_covered() -> None:
    alpha = np.zeros((32, 32), dtype=np.uint8)
    alpha[:8, :4] = 255
    alpha[8:16, 8:16] = 51
    areas = cell_areas(alpha)
    assert areas[0, 0] == 0.5
    assert areas[1, 1] == np.float32(0.2)
    assert areas.sum() == np.float32(0.7)
    wide = np.full((16, 24), 255, np.uint8)
    wide[:8, 16:] = 0
    assert cell_areas(wide).tolist() == [[1, 1, 0], [1, 1, 1]]


def test_the_mask_moves_with_the_sprite(sprite_folder: Path) -> None:
    sprite = read_folder(sprite_folder, 128)[0]
    image, alpha = training_image(sprite, MATTE), sprite_alpha(sprite)
    variants = list_variants(image, "potion", MATTE, Augmentation(flip=True, turn=True, shift=2, variants=40))
    assert {v.flip for v in variants} == {True, False}
    assert {v.turns for v in variants} == {0, 1, 2, 3}
    assert any(v.right for v in variants)
    for variant in (Variant(), *variants):
        shown = show_variant(image, variant, MATTE)
        assert np.array_equal(show_mask(alpha, image, variant, MATTE) > 0, (shown != np.array(MATTE)).any(axis=-1))
