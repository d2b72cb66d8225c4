"""A data set is checked whole: every problem is named at once, with what to do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.errors import DatasetError
from spritelora.sprites.folder.sprite_folder import data_hash, read_folder, set_matte, training_image
from spritelora.sprites.split import choose_subset, hold_out
from tests.conftest import draw_sprite


def test_captions_and_images_are_paired(sprite_folder: Path) -> None:
    sprites = read_folder(sprite_folder, 128)
    assert [s.name for s in sprites] == [f"sprite_{i:02d}.png" for i in range(12)]
    assert sprites[3].caption == "pixel art, potion number 3"


def test_sub_folders_are_read_and_hidden_ones_are_not(sprite_folder: Path) -> None:
    for name in ("knights", ".thumbnails"):
        (sprite_folder / name).mkdir()
        Image.fromarray(draw_sprite(99)).save(sprite_folder / name / "a.png")
    (sprite_folder / "knights" / "a.txt").write_text("pixel art, knight")
    names = [s.name for s in read_folder(sprite_folder, 128)]
    assert "knights/a.png" in names
    assert len(names) == 13


def test_missing_and_empty_captions_are_all_named(sprite_folder: Path) -> None:
    (sprite_folder / "sprite_01.txt").unlink()
    (sprite_folder / "sprite_02.txt").write_text(" \n")
    (sprite_folder / "sprite_03.txt").write_bytes(b"\xff\xfe\x00 not utf-8 \x80")
    with pytest.raises(DatasetError) as error:
        read_folder(sprite_folder, 128)
    message = str(error.value)
    assert "3 problems" in message
    assert "sprite_01.txt: missing; write one line that says what sprite_01.png shows" in message
    assert "sprite_02.txt: empty caption" in message
    assert "sprite_03.txt: cannot be read as UTF-8" in message


def test_bad_images_are_all_named(sprite_folder: Path) -> None:
    (sprite_folder / "sprite_04.png").write_bytes(b"")
    (sprite_folder / "sprite_05.png").write_bytes(b"no image")
    noise = np.random.default_rng(0).integers(0, 255, (130, 130, 3), dtype=np.uint8)
    Image.fromarray(noise).save(sprite_folder / "sprite_06.png")
    with pytest.raises(DatasetError) as error:
        read_folder(sprite_folder, 128)
    message = str(error.value)
    assert "3 problems" in message
    assert "130x130 native pixels do not fit 128x128; sprites are never shrunk by fractions" in message


def test_a_black_silhouette_is_not_taken_for_a_flat_image(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256, 4), dtype=np.uint8)
    pixels[..., 3] = np.random.default_rng(0).integers(0, 2, (256, 256)) * 255
    Image.fromarray(pixels).save(tmp_path / "bat.png")
    (tmp_path / "bat.txt").write_text("pixel art, bat")
    with pytest.raises(DatasetError, match="256x256 native pixels do not fit 128x128"):
        read_folder(tmp_path, 128)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "gone.txt").write_text("pixel art, key")
    with pytest.raises(DatasetError, match=r"gone\.png: corrupt or not an image"):
        read_folder(tmp_path, 128)


def test_two_images_of_one_stem_are_refused(sprite_folder: Path) -> None:
    Image.fromarray(draw_sprite(0)).save(sprite_folder / "sprite_00.webp")
    with pytest.raises(DatasetError, match="2 images of this name would share one caption"):
        read_folder(sprite_folder, 128)


@pytest.mark.parametrize(("make", "message"), [(False, "no such folder"), (True, "no images found")])
def test_no_folder_and_no_images(tmp_path: Path, make: bool, message: str) -> None:
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    with pytest.raises(DatasetError, match=message):
        read_folder(folder, 128)


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    for i in range(30):
        Image.fromarray(draw_sprite(i)).save(tmp_path / f"{i:02d}.png")
        (tmp_path / f"{i:02d}.txt").write_text("")
    with pytest.raises(DatasetError, match=r"30 problems found") as error:
        read_folder(tmp_path, 128)
    assert "... and 20 more" in str(error.value)


def test_the_matte_is_a_colour_of_no_edge(sprite_folder: Path) -> None:
    sprites = read_folder(sprite_folder, 128)
    matte = set_matte(sprites)
    packed = (matte[0] << 16) + (matte[1] << 8) + matte[2]
    assert all(packed not in s.colours.edge for s in sprites)
    assert {len(s.colours.visible) for s in sprites} == {5}
    corner = training_image(sprites[0], matte)[0, 0]
    assert tuple(corner.tolist()) == matte


def test_the_data_hash_sees_captions_and_pixels(sprite_folder: Path) -> None:
    before = data_hash(read_folder(sprite_folder, 128))
    (sprite_folder / "sprite_07.txt").write_text("pixel art, another potion")
    after_caption = data_hash(read_folder(sprite_folder, 128))
    Image.fromarray(draw_sprite(77)).save(sprite_folder / "sprite_07.png")
    assert len({before, after_caption, data_hash(read_folder(sprite_folder, 128))}) == 3


def test_subsets_and_hold_outs_are_seeded_and_complete() -> None:
    items = list(range(40))
    assert choose_subset(items, 12, 0) == choose_subset(items, 12, 0) != choose_subset(items, 12, 1)
    assert len(choose_subset(items, 12, 0)) == 12
    training, held_out = hold_out(items, 0.1, 0)
    assert (len(held_out), sorted(training + held_out)) == (4, items)
    assert hold_out(items[:9], 0.1, 0) == (items[:9], [])
    assert len(hold_out(items[:10], 0.1, 0)[1]) == 1


def test_a_set_has_one_factor_and_one_grid(tmp_path: Path) -> None:
    for name, size in (("small", 12), ("large", 30)):
        Image.fromarray(draw_sprite(3, size)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text("pixel art, gem")
    for side_px, factor in ((64, 2), (512, 16)):  # 17 would fit, 16 covers whole latent cells
        sprites = read_folder(tmp_path, side_px)
        assert [s.factor for s in sprites] == [factor, factor]
        for sprite in sprites:
            image = training_image(sprite, (255, 0, 255))
            drawn = np.flatnonzero((image != (255, 0, 255)).any((1, 2)))
            assert (drawn[-1] + 1 - drawn[0]) % factor == 0
            assert drawn[0] % 8 == 0 or factor % 8


def test_many_missing_captions_are_one_line_with_the_two_ways_to_make_them(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(draw_sprite(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "4.txt").write_text("a potion")
    with pytest.raises(DatasetError) as error:
        read_folder(tmp_path, 128)
    assert "4 of 5 images have no caption, such as 0.png" in str(error.value)
    assert "create_captions=true" in str(error.value)
    assert "caption.py" in str(error.value)
    assert "mode=edit" in str(error.value)
    assert ".txt" not in str(error.value)
