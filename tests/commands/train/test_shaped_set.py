"""A set of tall, wide and square sprites from its folder to its drawings: each on a canvas of its own shape."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from spritelora.commands.export.export import plan_drawing
from spritelora.commands.generate.native_sides import drawn_size, native_width, warn_of_scale
from spritelora.commands.train.exporter import data_facts
from spritelora.commands.train.record import check_resumable
from spritelora.config.commands.export import ExportConfig
from spritelora.config.train.data_keys import AugmentConfig, DataConfig, RegularisationConfig, SetConfig
from spritelora.data.augment import show_variant
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder, Picture
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.drawing.subject import drawing_of, sample_sizes
from spritelora.errors import ConfigError, ResumeError
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel
from spritelora.sprites.folder.sprite_folder import training_image
from tests.commands.generate.test_generate import make
from tests.conftest import draw_sprite
from tests.records import a_record

SHAPES = ["128x128", "96x160", "160x96"]
SIZES = [(12, 20)] * 7 + [(20, 12)] * 3 + [(16, 16)] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shapes") / "art"
    place.mkdir()
    for number, (width, height) in enumerate(SIZES):
        pixels = np.tile(draw_sprite(number), (2, 2, 1))[:height, :width]
        Image.fromarray(pixels).save(place / f"thing_{chr(97 + number)}.png")
        (place / f"thing_{chr(97 + number)}.txt").write_text(f"pixel art, thing {chr(97 + number)}\n")
    return place


def read(folder: Path, **more: Any) -> TrainingSet:
    return read_training_set(DataConfig(path=str(folder), shapes=SHAPES, **more), 128, masked=True)


def test_each_sprite_lies_on_its_own_canvas_by_one_factor(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = read(folder, holdout=0)
    assert found.factor == 8
    for sprite in found.training:
        assert sprite.fit.canvas == tuple(8 * n for n in sprite.native_size)
    assert found.canvases == {(96, 160): 7, (128, 128): 3, (160, 96): 3}
    assert found.recorded_canvases == {"96x160": 7, "128x128": 3, "160x96": 3}
    assert found.largest_canvas == (128, 128)
    assert "canvases: 96x160 (7), " in caplog.text
    assert "each step shows one, in proportion to its sprites" in caplog.text
    assert wanted_grid(found) == Grid(8)
    assert [n.shape[1::-1] for n in native_sprites(found)] == [s.native_size for s in found.training]


def test_on_the_square_alone_nothing_is_said_and_recorded(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = read_training_set(DataConfig(path=str(folder), shapes=["square"]), 128)
    assert (found.recorded_canvases, found.factor) == (None, 6)
    assert "canvases" not in caplog.text


def test_masks_and_variants_keep_the_shape_and_every_pixel(folder: Path) -> None:
    found = read(folder, augment=AugmentConfig(flip=True, shift=2, turn=True, variants=8))
    for viewed in found.viewed:
        width, height = viewed.sprite.fit.canvas
        image = training_image(viewed.sprite, found.matte)
        assert len(viewed.views) > 1
        for view in viewed.views:
            shown = show_variant(image, view.variant, found.matte)
            assert shown.shape == image.shape == (height, width, 3)
            assert view.mask is not None
            assert view.mask.shape == (height // 8, width // 8)
            is_sprite = (shown != np.array(found.matte)).any(axis=-1)
            assert view.mask.sum() >= is_sprite.sum() / 64 - 1e-3
        turns = {view.variant.turns for view in viewed.views}
        assert turns <= ({0, 1, 2, 3} if width == height else {0, 2})


def test_latents_have_the_canvas_and_squares_of_before_are_not_made_again(
    folder: Path, base: BaseModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder(base, Cache(tmp_path), torch.device("cpu"))
    squares = [s for s in read(folder, holdout=0).training if s.fit.canvas == (128, 128)]
    assert [sprite.name for sprite in squares] == ["thing_k.png", "thing_l.png", "thing_m.png"]
    before = encoder.latents(list(map(Picture, squares)), (255, 255, 255))
    caplog.set_level(logging.INFO)
    sprites = read(folder, holdout=0).training
    after = encoder.latents(list(map(Picture, sprites)), (255, 255, 255))
    assert "encoding 10 sprites at 96x160, 160x96 px" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(before, after[-3:], strict=True))
    for sprite, latents in zip(sprites, after, strict=True):
        assert latents.shape == (4, sprite.fit.canvas[1] // 8, sprite.fit.canvas[0] // 8)


def test_several_sets_and_regularisation_have_canvases_too(folder: Path) -> None:
    sets = {"one": SetConfig(str(folder)), "two": SetConfig(str(folder))}
    regularisation = RegularisationConfig(str(folder), every=2)
    config = DataConfig(sets=sets, shapes=SHAPES, regularisation=regularisation, holdout=0)
    found = read_training_set(config, 128)
    assert found.canvases == {(96, 160): 14, (128, 128): 6, (160, 96): 6}
    assert {s.fit.canvas for s in found.regularisation} == set(found.canvases)


def test_what_a_run_records_and_its_file_tells(folder: Path) -> None:
    found = read(folder, holdout=0)
    told = data_facts(DataConfig(), found)
    assert told["enable_bucket"] is True
    buckets = json.loads(str(told["bucket_info"]))["buckets"]
    assert buckets["0"] == {"resolution": [96, 160], "count": 7}
    assert data_facts(DataConfig(), read_training_set(DataConfig(path=str(folder), shapes=["square"]), 128)) == {}
    recorded, other = a_record(data={"canvases": found.recorded_canvases}), a_record(data={"canvases": {"96x160": 13}})
    check_resumable(Path("run"), recorded, recorded)
    with pytest.raises(ResumeError, match=r"data\.shapes: sprites would be shown on other canvases"):
        check_resumable(Path("run"), recorded, other)


def test_a_run_of_before_the_key_was_on_the_square(tmp_path: Path) -> None:
    record = json.loads(json.dumps(a_record().as_plain))
    del record["settings"]["data"]["shapes"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    old = RunRecord.read(tmp_path)
    assert old.settings.data.shapes == ["square"]
    assert old.data.canvases is None
    assert sample_sizes(old.settings, old.data.canvases) == [(128, 128)]


def test_samples_are_drawn_on_the_most_used_canvas_or_as_typed() -> None:
    record = a_record(data={"canvases": {"96x160": 7, "128x128": 3}})
    assert drawing_of(record.settings, record.data.canvases).size == (96, 160)
    typed = a_record(settings={"sampler": {"shapes": ["128x96", "96x160"]}}, data={"canvases": {"96x160": 7}})
    assert sample_sizes(typed.settings, typed.data.canvases) == [(128, 96), (96, 160)]
    bad = a_record(settings={"sampler": {"shapes": ["wide"]}})
    with pytest.raises(ConfigError, match=r"sampler\.shapes: 'wide' is no width and height.*sampler\.shapes=auto"):
        sample_sizes(bad.settings)


@pytest.mark.parametrize(
    ("native_size", "size", "drawn"),
    [
        ("auto", (704, 1408), (704, 1408)),
        ("16", (1024, 1024), (1024, 1024)),
        ("24x48", (1024, 1024), (768, 1536)),
        ("48x24", (1024, 1024), (1536, 768)),
        ("44x88", (704, 1408), (704, 1408)),
        ("12x20", (96, 160), (96, 160)),
        ("7x9", (128, 128), (224, 288)),
    ],
)
def test_images_hold_the_native_pixels_that_are_asked_for(native_size: str, size: Any, drawn: Any) -> None:
    assert drawn_size(native_size, size) == drawn
    across = native_width(native_size)
    assert (across is None) == (native_size == "auto")
    if "x" in native_size:
        width, height = map(int, native_size.split("x"))
        assert drawn[0] // width == drawn[1] // height == drawn[0] / width
        assert drawn[0] % 32 == drawn[1] % 32 == 0


def test_a_scale_that_is_not_the_runs_is_said(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_scale("44x88", (704, 1408), 16)
    warn_of_scale("24x48", (768, 1536), None)
    warn_of_scale("auto", (768, 1536), 16)
    assert not caplog.text
    warn_of_scale("24x48", (768, 1536), 16)
    assert "native_size=24x48 is drawn at 768x1536 px, 32 to a native pixel" in caplog.text
    assert "native_size=auto" in caplog.text


def test_a_record_with_canvases_that_are_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.canvases must be named by width x height, got 'evil'"):
        a_record(data={"canvases": {"evil": 1}})


def test_one_number_for_oblong_images_is_answered() -> None:
    with pytest.raises(ConfigError, match=r"native_size=44: the images are 704x1408 px; .* native_size=44x88"):
        drawn_size("44", (704, 1408))


def test_the_workflow_has_the_canvas_and_its_native_size(tmp_path: Path) -> None:
    record = a_record(data={"canvases": {"704x1408": 7}, "factor": 16})
    config = ExportConfig(run=str(tmp_path), checkpoint="sdxl.safetensors")
    drawing = plan_drawing(config, None, record, tmp_path, tmp_path / "a.safetensors", "")  # pyright: ignore
    assert (drawing.size, drawing.factor) == ((704, 1408), 16)


@pytest.mark.numeric
def test_a_run_on_several_shapes_trains_goes_on_and_draws(
    folder: Path, train_quickly: Callable[..., Path], cache: Path
) -> None:
    """Samples and drawings lie on the canvas of most sprites; resumed, it is the run that never stopped."""
    settings = (f"data.path={folder}", f"data.shapes=[{','.join(SHAPES)}]", "data.limit=null", "trainer.save_every=1")
    whole = train_quickly(*settings, "trainer.max_steps=2", "trainer.sample_every=2", name="whole")
    record = RunRecord.read(whole)
    assert record.data.canvases is not None
    assert next(iter(record.data.canvases)) == "96x160"
    for step in (0, 2):
        (image,) = (whole / "samples" / f"step_{step:06d}").glob("*.png")
        assert Image.open(image).size == (96, 160)
    parts = train_quickly(*settings, "trainer.max_steps=1", name="parts")
    train_quickly(*settings, "trainer.max_steps=2", f"resume={parts}", name="parts")
    lora = "checkpoint_final/lora.safetensors"
    ours, theirs = load_file(whole / lora), load_file(parts / lora)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    out = make(whole.parent / "out", cache, run=str(whole), prompts=[])
    (raw,) = (out / "raw").glob("*.png")
    (sprite,) = (out / "sprites").glob("*.png")
    assert (Image.open(raw).size, Image.open(sprite).size) == ((96, 160), (12, 20))
