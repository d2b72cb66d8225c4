"""Training cuts backgrounds out as prepare does, keeps them as a run's record says, and leaves those of older runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.config.train.data_keys import DataConfig, SetConfig
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder, Picture
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.embedded.drawn.demo import DEMO_GREENS
from spritelora.errors import ConfigError
from spritelora.runs.record import RunData, from_json
from spritelora.sdxl.files.base import BaseModel
from spritelora.sprites.folder.sprite_folder import native_sprite, training_image
from tests.records import plain_record
from tests.sprites.backgrounds.test_ground import MAGENTA, WHITE, drawn_on

SIDE = 128


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn sprites on magenta and white."""
    folder = tmp_path_factory.mktemp("grounds") / "raw"
    folder.mkdir()
    for i, (sprite, _) in enumerate(drawn_on([MAGENTA, WHITE], 12, seed=4)):
        Image.fromarray(sprite[..., :3]).save(folder / f"thing_{'abcdefghijkl'[i]}.png")
        (folder / f"thing_{'abcdefghijkl'[i]}.txt").write_text(f"pixel art, thing {i}\n")
    return folder


@pytest.fixture(scope="module")
def prepared(raw: Path) -> Path:
    folder = raw.parent / "prepared"
    prepare(PrepareConfig(input=str(raw), output=str(folder), resolution=SIDE, workers=1))
    return folder


def read(folder: Path, trained: RunData | None = None, **data: str) -> TrainingSet:
    return read_training_set(DataConfig(path=str(folder), **data), SIDE, masked=True, trained=trained)


def test_both_paths_have_the_same_images_masks_matte_and_latents(
    base: BaseModel, tmp_path: Path, raw: Path, prepared: Path
) -> None:
    encoder = Encoder(base, Cache(tmp_path / "cache"), torch.device("cpu"))
    ours, theirs = read(raw), read(prepared)
    assert ours.matte == theirs.matte
    assert sum(len(names) for names in ours.grounds.values()) == 12
    assert theirs.grounds == {}  # the manifest knows
    shown = [[training_image(s, x.matte) for s in (*x.training, *x.held_out)] for x in (ours, theirs)]
    assert all(np.array_equal(a, b) for a, b in zip(*shown, strict=True))
    masks = [[v.views[0].mask for v in x.viewed] for x in (ours, theirs)]
    assert all(np.array_equal(a, b) for a, b in zip(*masks, strict=True))  # pyright: ignore[reportArgumentType]
    latents = [encoder.latents([Picture(s) for s in x.training[:3]], x.matte) for x in (ours, theirs)]
    assert all(torch.equal(a, b) for a, b in zip(*latents, strict=True))


def test_what_is_cut_out_is_cached_by_another_name(base: BaseModel, tmp_path: Path, raw: Path) -> None:
    encoder = Encoder(base, Cache(tmp_path / "cache"), torch.device("cpu"))
    for wish in ("auto", "keep"):
        sprites = read_training_set(DataConfig(path=str(raw), cut_background=wish), SIDE)
        encoder.latents([Picture(sprites.training[0])], WHITE)
    assert len(list((tmp_path / "cache").rglob("latents/*/*"))) == 2


def test_a_run_that_goes_on_has_the_grounds_of_its_record(raw: Path) -> None:
    found = read(raw)
    (first, *_) = found.training
    only = RunData(found.hash, 11, 1, "#ffffff", grounds={"#ff00ff holes": [first.name]})
    again = read(raw, only)
    assert again.grounds == only.grounds
    whole = read(raw, replace(only, grounds=found.grounds))
    assert [s.treatment for s in whole.training] == [s.treatment for s in found.training]
    sets = {"one": SetConfig(path=str(raw)), "two": SetConfig(path=str(raw))}
    mixed = read_training_set(DataConfig(sets=sets, holdout=0), SIDE)
    recorded = RunData(mixed.hash, 24, 0, "#ffffff", grounds=mixed.grounds)
    assert read_training_set(DataConfig(sets=sets, holdout=0), SIDE, trained=recorded).grounds == mixed.grounds
    assert len(next(iter(mixed.grounds.values()))) >= 12


def test_a_run_from_before_keeps_its_boxes(raw: Path) -> None:
    older = plain_record()
    del older["settings"]["data"]["cut_background"]
    record = from_json(older)
    assert record.settings.data.cut_background == "keep"
    assert record.defaults_then["data.cut_background"] == "keep"
    data = replace(record.settings.data, path=str(raw))
    sprites = read_training_set(data, SIDE, trained=record.data)
    assert all((native_sprite(s).alpha == 255).all() for s in sprites.training)


def test_a_colour_that_is_none_is_answered(raw: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.cut_background: .*#rrggbb.*auto.*keep"):
        read(raw, cut_background="pink")


def test_the_demo_set_keeps_its_background_for_it_is_one_of_its_four_greens(tmp_path: Path) -> None:
    found = read_training_set(DataConfig(cache=str(tmp_path)), SIDE)
    assert found.grounds == {}
    assert np.unique(training_image(found.training[0], found.matte).reshape(-1, 3), axis=0).tolist() == sorted(
        DEMO_GREENS.tolist()
    )
