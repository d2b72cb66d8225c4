"""A prepared set, trained at the size it was prepared for, is what its originals are: masks, variants, measures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spritelora.adapters.files.lora_file import parse_lora
from spritelora.commands.doctor.data_facts import read_data
from spritelora.commands.export.export import plan_drawing
from spritelora.commands.generate.finishing import training_grid, training_palette
from spritelora.commands.prepare.prepare import prepare
from spritelora.commands.train.record import changed_views, check_resumable
from spritelora.commands.validate.settings import changed_data, settle_data
from spritelora.commands.validate.validate import validate
from spritelora.config.commands.export import ExportConfig
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.config.commands.validate import ValidateConfig, ValidationSampler
from spritelora.config.train.data_keys import AugmentConfig, DataConfig, RegularisationConfig, SetConfig
from spritelora.data.augment import Variant, show_variant
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder, Picture
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.errors import ConfigError, ResumeError
from spritelora.evaluation.colours import palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import OF_CELLS, Reference
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.evaluation.validation import measure_set, usable
from spritelora.runs.record import RunData
from spritelora.sdxl.files.base import BaseModel
from spritelora.sprites.folder.mask import Areas
from spritelora.sprites.folder.sprite_folder import native_sprite, training_image
from spritelora.sprites.pixels.image import parse_colour
from tests.composing import compose
from tests.conftest import QUICK, draw_sprite
from tests.records import a_record

VARIED = AugmentConfig(flip=True, shift=2, turn=True, variants=6)
SIDE = 128


def on_squares(**data: Any) -> DataConfig:
    """Settings by which originals lie on the canvas that prepare gives them."""
    return DataConfig(shapes=["square"], **data)


def write(folder: Path, sizes: list[tuple[int, int]], seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number, (width, height) in enumerate(sizes):
        sprite = draw_sprite(seed + number, max(width, height))[:height, :width]
        if number == 3:
            sprite[4:7, 4:9, 3] = 120
        Image.fromarray(sprite).save(folder / f"thing_{'abcdefghijklmno'[number]}.png")
        (folder / f"thing_{'abcdefghijklmno'[number]}.txt").write_text(f"pixel art, thing {number}, left side\n")
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("own") / "raw", [(16, 16), (14, 16), (16, 11), (15, 15), (9, 12), (13, 9)] * 2)


@pytest.fixture(scope="module")
def prepared(raw: Path) -> Path:
    folder = raw.parent / "prepared"
    prepare(PrepareConfig(input=str(raw), output=str(folder), resolution=SIDE, workers=1))
    return folder


def read(folder: Path, **data: Any) -> TrainingSet:
    config = on_squares(path=str(folder), augment=VARIED, **data)
    return read_training_set(config, SIDE, masked=True)


def variants_of(sprites: TrainingSet) -> list[Variant]:
    return [view.variant for viewed in sprites.viewed for view in viewed.views]


def masks_of(sprites: TrainingSet) -> list[Areas]:
    return [view.mask for viewed in sprites.viewed for view in viewed.views if view.mask is not None]


def test_both_paths_have_one_factor_matte_split_masks_and_variants(raw: Path, prepared: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    ours, theirs = read(prepared), read(raw)
    assert (ours.factor, ours.matte) == (theirs.factor, theirs.matte) == (8, ours.matte)
    assert (
        "prepared: training on 11 sprites, testing on 1; one sprite pixel = 8 image pixels; background #" in caplog.text
    )
    assert ", as prepared" in caplog.text
    for part in ("training", "held_out"):
        told = [[(s.caption, s.group, s.repeats, s.fit) for s in getattr(x, part)] for x in (ours, theirs)]
        assert told[0] == told[1]
    assert variants_of(ours) == variants_of(theirs)
    assert any(v.right or v.down for v in variants_of(ours))
    assert all(np.array_equal(a, b) for a, b in zip(masks_of(ours), masks_of(theirs), strict=True))


def test_both_paths_have_the_same_latents(base: BaseModel, tmp_path: Path, raw: Path, prepared: Path) -> None:
    encoder = Encoder(base, Cache(tmp_path / "cache"), torch.device("cpu"))
    encoded = []
    for folder in (raw, prepared):
        sprites = read(folder)
        pictures = [Picture(s.sprite, view.variant) for s in sprites.viewed for view in s.views[:3]]
        encoded.append(encoder.latents(pictures, sprites.matte))
    assert len(encoded[0]) == 33
    assert all(torch.equal(a, b) for a, b in zip(*encoded, strict=True))
    assert len(list((tmp_path / "cache").rglob("latents/*/*"))) == 2 * 33  # known by other names: nothing is mixed up


def test_both_paths_are_measured_alike_and_nothing_is_missing(raw: Path, prepared: Path) -> None:
    measured = []
    for folder in (raw, prepared):
        sprites = read_training_set(on_squares(path=str(folder)), SIDE)
        assert wanted_grid(sprites) == Grid(8)
        natives = native_sprites(sprites)
        assert {n.shape for n in natives} == {(16, 16, 3)}
        reference = Reference(palette_of(natives), SpriteIndex(natives, sprites.matte))
        images = [training_image(s, sprites.matte) for s in sprites.training]
        measured.append(measure_set(images, reference, wanted_grid(sprites)))
        assert usable(measured[-1], 64).min() == 1
        assert not [name for name in OF_CELLS if np.isnan(measured[-1].values[name]).any()]
        assert measured[-1].copies.min() == 1
    for name, values in measured[0].values.items():
        assert np.array_equal(values, measured[1].values[name], equal_nan=True), name


def test_both_paths_give_generate_one_grid_and_one_palette(raw: Path, prepared: Path) -> None:
    palettes = []
    for folder in (raw, prepared):
        found = read_training_set(on_squares(path=str(folder)), SIDE)
        natives = [native_sprite(s) for s in (*found.training, *found.held_out)]
        assert training_grid(found, natives, SIDE) == Grid(8)
        assert training_grid(found, natives, 2 * SIDE) == Grid(16)
        palettes.append({tuple(c) for c in training_palette(natives, found.matte, with_matte=False).tolist()})
        assert found.matte not in palettes[-1]
    assert palettes[0] == palettes[1]


@pytest.mark.parametrize("which", [("prepared", "other"), ("prepared", "raw"), ("raw", "prepared")])
def test_sets_that_are_prepared_or_not_mix(raw: Path, prepared: Path, tmp_path: Path, which: tuple[str, str]) -> None:
    other = write(tmp_path / "big", [(32, 32), (20, 24)], seed=40)
    prepare(PrepareConfig(input=str(other), output=str(tmp_path / "other"), resolution=256, workers=1))
    folders = {"prepared": prepared, "raw": raw, "other": tmp_path / "other"}
    if which == ("prepared", "raw"):
        folders["raw"] = other
    sets = {name: SetConfig(str(folders[name]), repeats=2) for name in which}
    plain = {"a": SetConfig(str(raw), repeats=2), "b": SetConfig(str(other), repeats=2)}
    mixed = read_training_set(on_squares(sets=sets, holdout=0), SIDE, masked=True)
    assert {s.repeats for s in mixed.training} == {2}
    if which == ("raw", "prepared"):
        assert mixed.factor == 8
        return
    assert mixed.factor == 4
    theirs = read_training_set(on_squares(sets=plain, holdout=0), SIDE, masked=True)

    def shown(found: TrainingSet) -> list[np.ndarray]:
        return [training_image(s, (1, 2, 3)) for s in found.training]

    for mine, other_ in zip(shown(mixed), shown(theirs), strict=True):
        assert np.abs(mine.astype(int) - other_).max() <= 1  # half-transparent pixels were on another matte
    assert all(np.array_equal(a, b) for a, b in zip(masks_of(mixed), masks_of(theirs), strict=True))


def test_images_that_regularise_may_be_prepared(raw: Path, tmp_path: Path) -> None:
    kept = write(tmp_path / "kept", [(16, 16), (10, 12)], seed=60)
    prepare(PrepareConfig(input=str(kept), output=str(tmp_path / "out"), resolution=SIDE, workers=1))
    ours, theirs = (
        read(raw, holdout=0, regularisation=RegularisationConfig(str(folder))) for folder in (tmp_path / "out", kept)
    )
    assert ours.views.keys() == {"regularisation"}
    for mine, other in zip(ours.regularisation, theirs.regularisation, strict=True):
        assert np.array_equal(training_image(mine, ours.matte), training_image(other, theirs.matte))
    for mine, other in zip(ours.kept, theirs.kept, strict=True):
        assert mine.views[0].mask is not None
        assert np.array_equal(mine.views[0].mask, other.views[0].mask)


def test_stretched_sprites_move_by_whole_native_pixels(raw: Path, tmp_path: Path) -> None:
    prepare(PrepareConfig(input=str(raw), output=str(tmp_path / "out"), resolution=SIDE, pad=False, workers=1))
    sprites = read(tmp_path / "out", holdout=0)
    stretched = [(s.sprite, [view.variant for view in s.views]) for s in sprites.viewed if s.sprite.stretched]
    assert stretched
    assert any(variant.right or variant.down for _, shown in stretched for variant in shown)

    for sprite, shown in stretched:
        image = training_image(sprite, sprites.matte)
        for variant in shown:
            moved = show_variant(image, variant, sprites.matte, sprite.stretched)
            across, down = sprite.fit.factors if not variant.turns % 2 else sprite.fit.factors[::-1]
            columns = np.flatnonzero((moved != np.roll(moved, 1, axis=1)).any(axis=(0, 2)))
            rows = np.flatnonzero((moved != np.roll(moved, 1, axis=0)).any(axis=(1, 2)))
            assert len(set((columns % across).tolist())) == 1, variant
            assert len(set((rows % down).tolist())) == 1, variant


def test_the_doctor_reads_the_set_as_training_does(prepared: Path, tmp_path: Path) -> None:
    config = compose(*QUICK, f"data.path={prepared}", "data.limit=null")
    _, count, told, problem = read_data(config)
    assert (count, problem) == (12, "")
    assert told.startswith("12 images of 128 x 128 px, one sprite pixel = 8 image pixels, background #")
    spoilt = Path(shutil.copytree(prepared, tmp_path / "spoilt"))
    Image.new("RGB", (128, 128)).save(spoilt / "thing_a.png")
    _, count, _, problem = read_data(compose(*QUICK, f"data.path={spoilt}"))
    assert count == 0
    assert "thing_a.png: changed since prepare wrote it" in problem


def data_of(sprites: TrainingSet) -> RunData:
    """What a run's record says of its data."""
    views = {"views": dict(sprites.views), "as_stored": sprites.is_as_stored} if sprites.views else {}
    matte = "#{:02x}{:02x}{:02x}".format(*sprites.matte)
    return RunData(sprites.hash, 11, 1, matte, sprites.factor, **views)


BEFORE = RunData("x", 11, 1, "#0000ff")
"""What a record from before manifests were read says of a prepared set: the matte is wrong, and there are no views."""


def test_a_run_from_before_manifests_were_read_goes_on_only_as_it_began(raw: Path, prepared: Path) -> None:
    plain = read_training_set(on_squares(path=str(prepared)), SIDE)
    assert changed_views(BEFORE, data_of(plain)) is None  # its images lie in the folder as they are shown now
    assert changed_views(data_of(plain), data_of(plain)) is None
    assert changed_views(BEFORE, data_of(read_training_set(on_squares(path=str(raw)), SIDE))) is None
    for now in (read(prepared), read_training_set(on_squares(path=str(prepared)), 2 * SIDE)):
        assert "move that file away for this run, or start a new one" in str(changed_views(BEFORE, data_of(now)))
    assert "is gone; put it back" in str(changed_views(data_of(plain), BEFORE))
    other = data_of(read_training_set(on_squares(path=str(prepared)), 2 * SIDE))
    assert "enlarged or placed in another way" in str(changed_views(data_of(plain), other))


def test_resume_names_what_changed_about_the_views(prepared: Path) -> None:
    plain, varied = (data_of(s) for s in (read_training_set(on_squares(path=str(prepared)), SIDE), read(prepared)))
    old = replace(a_record(), data=replace(BEFORE, hash=plain.hash))
    check_resumable(prepared, old, replace(old, data=plain))
    with pytest.raises(ResumeError, match=r"data\.path: the run was begun with the images as they lie in the folder"):
        check_resumable(prepared, old, replace(old, data=varied))


def test_validation_takes_the_matte_of_the_manifest_where_a_record_knows_of_none(raw: Path, prepared: Path) -> None:
    record = a_record(settings={"data": {"path": str(prepared), "cache": "x"}, "model": {"resolution": SIDE}})
    plain = read_training_set(on_squares(path=str(prepared)), SIDE)
    for data, matte, note in (
        (replace(BEFORE, hash=plain.hash), plain.matte, None),
        (data_of(plain), plain.matte, None),
        (replace(data_of(plain), matte="#010203"), (1, 2, 3), None),
        (replace(data_of(plain), views={"sprites": "x"}), plain.matte, "enlarged or placed in another way"),
    ):
        found = replace(record, data=data)
        sprites = read_training_set(settle_data(ValidateConfig(), found), SIDE, trained=data)
        assert sprites.matte == matte
        assert (note or "None") in str(changed_data(sprites, found))
    assert read_training_set(on_squares(path=str(raw)), SIDE, trained=BEFORE).matte == (0, 0, 255)


def test_a_matte_that_is_typed_is_laid_under_prepared_sprites_too(prepared: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    sprites = read_training_set(on_squares(path=str(prepared), matte="#010203"), SIDE)
    assert sprites.matte == (1, 2, 3)
    assert tuple(training_image(sprites.training[0], sprites.matte)[0, 0].tolist()) == (1, 2, 3)
    assert "12 prepared sprites (thing_a.png) are laid on another matte" in caplog.text
    assert not sprites.is_as_stored


def test_export_scales_by_the_factor_of_the_run(tmp_path: Path) -> None:
    record = a_record()
    assert record.settings.model.resolution == 128
    shapes = {"lora_down.weight": (1, 2), "lora_up.weight": (2, 1)}
    factors = {f"lora_unet_middle_block_1_proj_in.{name}": torch.ones(shape) for name, shape in shapes.items()}
    lora, out = parse_lora(tmp_path / "a.safetensors", factors, {}, None), tmp_path / "a.safetensors"
    for recorded, asked, factor in ((16, None, 16), (None, None, 8), ([8, 16], None, 8), (None, 32, 32)):
        config = ExportConfig(run="x", factor=asked)
        assert plan_drawing(config, lora, a_record(data={"factor": recorded}), tmp_path, out, "").factor == factor
    with pytest.raises(ConfigError, match="factor=48 does not divide the 128 pixels"):
        plan_drawing(ExportConfig(run="x", factor=48), lora, record, tmp_path, out, "")
    with pytest.raises(ConfigError, match=r"prompt is not set.*type prompt="):
        plan_drawing(ExportConfig(run="x"), lora, a_record(settings={"sampler": {"prompts": []}}), tmp_path, out, "")


def test_a_run_on_a_prepared_set_is_validated_by_its_grid(train_quickly, prepared: Path, tmp_path: Path) -> None:
    run = train_quickly(f"data.path={prepared}", "trainer.max_steps=1", "objective.masked_loss=true", name="own")
    record = json.loads((run / "run.json").read_text())
    manifest = [json.loads(line) for line in (prepared / "manifest.jsonl").read_text().splitlines()]
    assert (record["data"]["factor"], record["data"]["matte"]) == (manifest[0]["factor"], manifest[0]["matte"])
    quick = ValidateConfig(
        run=str(run), strength=1.0, num_prompts=1, sampler=ValidationSampler(steps=1, guidance=1.0), batch_size=4
    )
    del record["data"]["views"], record["data"]["as_stored"], record["data"]["factor"]
    record["data"]["matte"] = BEFORE.matte
    for name in ("new", "from before"):
        found = json.loads((validate(replace(quick, output=str(tmp_path / name))) / "validation.json").read_text())
        assert found["settings"]["pixels_to_a_sprite_pixel"] == 8
        assert found["settings"]["data"]["note"] is None
        assert not set(found["left_out"]) & set(OF_CELLS) - {"halo"}
        assert found["metrics"]["snap_residual"]["by_strength"]["1"]["mean"] is not None
        assert parse_colour(record["data"]["matte"]) == (0, 0, 255)
        (run / "run.json").write_text(json.dumps(record))
