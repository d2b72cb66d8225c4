"""What a sprite covers, from its own alpha or from the mask that prepare kept."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.errors import DatasetError
from spritelora.sprites.augment import Augmentation, Variant, list_variants, show_mask, show_variant
from spritelora.sprites.folder import read_folder, training_image
from spritelora.sprites.mask import cell_areas, sprite_alpha

MATTE = (1, 2, 3)


@pytest.fixture
def prepared(sprite_folder: Path, tmp_path: Path) -> Path:
    """The sprites of `sprite_folder` as prepare writes them, at twice the side they are trained at."""
    from spritelora.config.prepare import PrepareConfig
    from spritelora.tasks.prepare import prepare

    folder = tmp_path / "prepared"
    prepare(PrepareConfig(input=str(sprite_folder), output=str(folder), resolution=256))
    return folder


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
    assert (cell_areas(np.full((16, 16), 255, np.uint8)) == 1).all()


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


def test_a_prepared_folder_gives_the_masks_of_its_sources(sprite_folder: Path, prepared: Path) -> None:
    ours, theirs = ([sprite_alpha(s) for s in read_folder(f, 128)] for f in (sprite_folder, prepared))
    assert len(ours) == len(theirs) == 12
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_mask_that_is_not_of_its_image_is_refused(prepared: Path) -> None:
    file = sorted(prepared.glob("*.png"))[0]
    mask = prepared / ".masks" / file.name
    Image.new("L", (8, 8)).save(mask)
    with pytest.raises(DatasetError, match=r"its mask is 8x8 px, not 256x256; prepare the set again"):
        sprite_alpha(read_folder(prepared, 256)[0])
    Image.new("RGB", (256, 256), (9, 9, 9)).save(file)
    with pytest.raises(DatasetError, match="changed since prepare wrote it"):
        sprite_alpha(read_folder(prepared, 256)[0])
    mask.unlink()
    assert sprite_alpha(read_folder(prepared, 256)[0]).min() == 255
