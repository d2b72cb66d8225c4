"""Several data sets as one, and images that keep the base as it is."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.train.exporter import data_facts
from spritelora.commands.train.record import public_settings
from spritelora.commands.validate.settings import settle_data
from spritelora.config.commands.validate import ValidateConfig, ValidatedData
from spritelora.config.train.data_keys import DataConfig, RegularisationConfig, SetConfig, Split
from spritelora.data.data_sets import read_regularisation, read_sets
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.errors import ConfigError, DatasetError
from spritelora.evaluation.native_sprites import native_sprites
from spritelora.runs.record import RunRecord
from tests.conftest import draw_sprite
from tests.records import a_record


def write_set(folder: Path, seeds: range, size: int = 16, caption: str = "pixel art, potion") -> Path:
    folder.mkdir(parents=True)
    for seed in seeds:
        Image.fromarray(draw_sprite(seed, size)).save(folder / f"sprite_{seed}.png")
        (folder / f"sprite_{seed}.txt").write_text(f"{caption} number {seed}\n")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> dict[str, SetConfig]:
    """Eight sprites twice as often, and four of half the weight whose native size is another."""
    mine = SetConfig(str(write_set(tmp_path / "mine", range(8))), repeats=2)
    return {"mine": mine, "theirs": SetConfig(str(write_set(tmp_path / "theirs", range(20, 24), size=32)), weight=0.5)}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three opaque images as large as what is trained on."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((128, 128, 3), 60 * i + 20, dtype=np.uint8)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"a photograph of thing {i}\n")
    return folder


def test_sets_are_one_set_of_names_repeats_weights_and_one_factor(two: dict[str, SetConfig], caplog) -> None:
    caplog.set_level(logging.INFO)
    sprites = read_sets(DataConfig(sets=two), 128)
    assert [s.name for s in sprites] == [f"mine/sprite_{i}.png" for i in range(8)] + [
        f"theirs/sprite_{i}.png" for i in range(20, 24)
    ]
    assert [(s.repeats, s.weight, s.factor) for s in sprites] == [(2, 1.0, 4)] * 8 + [(1, 0.5, 4)] * 4
    assert "set mine: 8 sprites x 2, weight 1; alone they would be enlarged by 8, beside the others by 4" in caplog.text
    assert "set theirs: 4 sprites x 1, weight 0.5\n" in caplog.text


def test_repeats_of_a_set_multiply_those_of_its_folders(tmp_path: Path) -> None:
    write_set(tmp_path / "set" / "5_knight", range(2))
    (sprite, _) = read_sets(DataConfig(sets={"a": SetConfig(str(tmp_path / "set"), repeats=3)}), 128)
    assert (sprite.name, sprite.repeats) == ("a/5_knight/sprite_0.png", 15)


def test_names_and_groups_of_one_set_are_not_those_of_another(tmp_path: Path) -> None:
    sets = {n: SetConfig(str(write_set(tmp_path / n, range(i, i + 1)))) for i, n in enumerate("ab")}
    for file in (tmp_path / "b").iterdir():
        file.rename(file.with_name(file.name.replace("sprite_1", "sprite_0")))
    sprites = read_sets(DataConfig(sets=sets), 128)
    assert [s.name for s in sprites] == ["a/sprite_0.png", "b/sprite_0.png"]
    assert len({s.group for s in sprites}) == 2


def test_the_hold_out_is_over_all_sets_and_the_hash_over_all_that_is_in_them(two: dict[str, SetConfig]) -> None:
    config = DataConfig(sets=two, holdout=0.5, split=Split.sprite)
    sprites = read_training_set(config, 128)
    assert (len(sprites.training), len(sprites.held_out)) == (6, 6)
    assert {s.name.partition("/")[0] for s in sprites.held_out} == {"mine", "theirs"}
    (Path(two["theirs"].path) / "sprite_20.txt").write_text("another caption\n")
    assert read_training_set(config, 128).hash != sprites.hash


def test_a_path_beside_sets_is_refused(two: dict[str, SetConfig]) -> None:
    with pytest.raises(ConfigError, match=r"data\.path=x beside data\.sets \(mine, theirs\): give one of both.*NAME"):
        read_training_set(DataConfig(path="x", sets=two), 128)


def test_a_name_that_is_no_word_is_refused(two: dict[str, SetConfig]) -> None:
    with pytest.raises(ConfigError, match=r"data\.sets: 'a/b' is not a name of letters, digits, _ and -"):
        read_sets(DataConfig(sets={"a/b": two["mine"]}), 128)


def test_an_image_that_no_set_has_is_asked_for_in_vain(two: dict[str, SetConfig]) -> None:
    name = read_sets(DataConfig(sets=two), 128)[0].name.rpartition("/")[2]
    read_sets(DataConfig(sets=two, include=[name]), 128)
    with pytest.raises(ConfigError, match=r"data\.include: no image is called knihgt\*; name files"):
        read_sets(DataConfig(sets=two, include=[name, "knihgt*"]), 128)


def test_the_problems_of_every_set_are_told_at_once(two: dict[str, SetConfig], tmp_path: Path) -> None:
    (Path(two["mine"].path) / "sprite_3.txt").unlink()
    sets = {**two, "gone": SetConfig(str(tmp_path / "gone"))}
    with pytest.raises(
        DatasetError, match=r"sprite_3\.txt: missing(.|\n)*gone: no such folder; data\.sets\.gone\.path"
    ):
        read_sets(DataConfig(sets=sets), 128)


def test_an_image_in_two_sets_is_named(two: dict[str, SetConfig], tmp_path: Path, caplog) -> None:
    again = SetConfig(str(write_set(tmp_path / "again", range(7, 9))))
    read_sets(DataConfig(sets={"mine": two["mine"], "again": again}), 128)
    assert "1 images are in more than one set (mine/sprite_7.png and again/sprite_7.png)" in caplog.text


def test_images_that_regularise_are_no_part_of_the_style(sprite_folder: Path, images: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    kept = RegularisationConfig(str(images), weight=0.3, every=2)
    plain_set = read_training_set(DataConfig(path=str(sprite_folder)), 128, masked=True)
    sprites = read_training_set(DataConfig(path=str(sprite_folder), regularisation=kept), 128, masked=True)
    assert "regularisation: 3 images, one after every 2 sprites, weight 0.3" in caplog.text
    assert [(s.name, s.weight, s.factor) for s in sprites.regularisation] == [(f"{i}.png", 0.3, 1) for i in range(3)]
    assert [view.mask.min() for image in sprites.kept for view in image.views if view.mask is not None] == [1.0] * 3
    assert (sprites.hash, sprites.matte, sprites.every) == (plain_set.hash, plain_set.matte, 2)
    assert sprites.training[0].factor == plain_set.training[0].factor == 8
    assert len(native_sprites(sprites)) == 11
    assert (
        sprites.masks_hash != plain_set.masks_hash,
        sprites.regularisation_hash != plain_set.regularisation_hash,
    ) == (
        True,
        True,
    )


def test_mistakes_in_what_regularises_are_named(sprite_folder: Path, images: Path, tmp_path: Path, caplog) -> None:
    (images / "1.txt").write_text("pixel art, potion number 4\n")
    assert sprite_folder.is_dir()
    read_training_set(
        DataConfig(path=str(sprite_folder), holdout=0, regularisation=RegularisationConfig(str(images))), 128
    )
    assert (
        "1 regularisation images have captions of training sprites (1.png: 'pixel art, potion number 4')" in caplog.text
    )
    (images / "1.txt").unlink()
    with pytest.raises(DatasetError, match=r"1\.txt: missing; write one line that says what 1\.png shows"):
        read_regularisation(RegularisationConfig(str(images)), 128)
    with pytest.raises(DatasetError, match=r"none: no such folder; data\.regularisation\.path names a folder"):
        read_regularisation(RegularisationConfig(str(tmp_path / "none")), 128)
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match=r"none: no images found .*; data\.regularisation\.path names the folder"):
        read_regularisation(RegularisationConfig(str(tmp_path / "none")), 128)


def test_metadata_counts_sets_and_images(two: dict[str, SetConfig], images: Path) -> None:
    config = DataConfig(sets=two, holdout=0, regularisation=RegularisationConfig(str(images), weight=0.3))
    told = data_facts(config, read_training_set(config, 128))
    assert told["dataset_dirs"] == (
        '{"mine": {"n_repeats": 2, "img_count": 8, "weight": 1.0}, '
        '"theirs": {"n_repeats": 1, "img_count": 4, "weight": 0.5}}'
    )
    assert (told["num_reg_images"], told["prior_loss_weight"]) == (3, 0.3)
    assert told["reg_dataset_dirs"] == '{"kept": {"n_repeats": 1, "img_count": 3}}'
    one = DataConfig(path=two["mine"].path)
    assert data_facts(one, read_training_set(one, 128)) == {}


def recorded(config: DataConfig, sprites: TrainingSet) -> RunRecord:
    data = {"hash": sprites.hash, "matte": "#{:02x}{:02x}{:02x}".format(*sprites.matte)}
    return a_record(settings={"data": config}, data=data)


def test_validation_reads_the_sets_that_the_run_was_trained_on(two: dict[str, SetConfig], images: Path) -> None:
    config = DataConfig(sets=two, regularisation=RegularisationConfig(str(images)))
    sprites = read_training_set(config, 128)
    again = read_training_set(settle_data(ValidateConfig(), recorded(config, sprites)), 128)
    assert again.hash == sprites.hash
    assert ([s.name for s in again.training], again.regularisation) == ([s.name for s in sprites.training], [])
    elsewhere = settle_data(ValidateConfig(data=ValidatedData(path="x")), recorded(config, sprites))
    assert (elsewhere.path, elsewhere.sets) == ("x", {})


def test_folders_of_sets_stay_on_this_machine(two: dict[str, SetConfig], images: Path) -> None:
    config = DataConfig(sets=two, regularisation=RegularisationConfig(str(images)))
    told = public_settings(recorded(config, read_training_set(config, 128)))
    keys = ("data.sets.mine.path", "data.sets.theirs.path", "data.regularisation.path")
    assert [told[key] for key in keys] == ["mine", "theirs", "kept"]
