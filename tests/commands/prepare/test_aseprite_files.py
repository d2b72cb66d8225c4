"""Aseprite files through the commands: prepared with words and groups, trained raw, shown on the caption page."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spritelora.captioning.server import native_png
from spritelora.errors import DatasetError
from spritelora.sprites.folder.sprite_folder import native_sprite, read_folder
from spritelora.sprites.pixels.image import without_hidden_colour
from tests.commands.prepare.test_prepare import contents, records, run
from tests.conftest import draw_sprite
from tests.sprites.ase import made_files as made
from tests.sprites.ase.made_files import File

SPRITES = [draw_sprite(i) for i in range(6)]


@pytest.fixture
def art(tmp_path: Path) -> Path:
    """An animation with tags, a sheet with slices, and a still with a caption."""
    folder = tmp_path / "art"
    folder.mkdir()
    first, *others = ([made.cel(0, sprite)] for sprite in SPRITES[:4])
    tags = made.tags(("idle", 0, 1), ("walk", 2, 3))
    walk = File((16, 16), [[made.layer("knight"), tags, *first], *others])
    (folder / "hero.aseprite").write_bytes(walk.encode())
    slices = [made.slice_("potion", (0, 0, 0, 16, 16)), made.slice_("sword", (0, 16, 0, 16, 16))]
    sheet = File((32, 16), [[made.layer(), *slices, made.cel(0, np.concatenate(SPRITES[4:6], axis=1))]])
    (folder / "items.ase").write_bytes(sheet.encode())
    (folder / "gem.aseprite").write_bytes(File((16, 16), [[made.layer("red"), made.cel(0, draw_sprite(9))]]).encode())
    (folder / "gem.txt").write_text("pixel art, a gem of mine\n")
    return folder


def captions_of(output: Path) -> dict[str, str]:
    return {file.stem: file.read_text().strip() for file in output.glob("*.txt")}


def test_frames_and_slices_are_prepared_with_their_words_and_groups(art: Path, tmp_path: Path) -> None:
    run(art, tmp_path / "out", create_captions=True, all_frames=True)
    assert captions_of(tmp_path / "out") == {
        "gem": "pixel art, a gem of mine",
        "hero_idle_0": "pixel art, hero, idle, knight", "hero_idle_1": "pixel art, hero, idle, knight",
        "hero_walk_0": "pixel art, hero, walking, knight", "hero_walk_1": "pixel art, hero, walking, knight",
        "items_potion": "pixel art, potion", "items_sword": "pixel art, sword",
    }  # fmt: skip
    lines = records(tmp_path / "out")
    assert {line["group"] for line in lines if line["source"] == "hero.aseprite"} == {"hero"}
    assert {line["native_size"][0] for line in lines} == {16}
    before = contents(tmp_path / "out")
    run(art, tmp_path / "out", create_captions=True, all_frames=True)
    assert contents(tmp_path / "out") == before


def test_without_all_frames_the_first_is_prepared_and_slices_are_cut(art: Path, tmp_path: Path) -> None:
    run(art, tmp_path / "out", create_captions=True)
    assert sorted(captions_of(tmp_path / "out")) == ["gem", "hero", "items_potion", "items_sword"]


def test_an_export_with_its_data_is_prepared_as_before(art: Path, tmp_path: Path) -> None:
    Image.fromarray(np.concatenate(SPRITES[:2], axis=1)).save(art / "hero.png")
    frames = {f"hero {i}.aseprite": {"frame": {"x": 16 * i, "y": 0, "w": 16, "h": 16}} for i in range(2)}
    data: dict[str, Any] = {"frames": frames, "meta": {"image": "hero.png", "size": {"w": 32, "h": 16}}}
    (art / "hero.json").write_text(json.dumps(data))
    (art / "gem.json").write_text(json.dumps({**data, "meta": {"image": "gem-sheet.png"}}))
    run(art, tmp_path / "out", create_captions=True)
    assert sorted(captions_of(tmp_path / "out")) == ["gem", "hero_0", "hero_1", "items_potion", "items_sword"]


def test_training_reads_the_files_as_they_are(art: Path) -> None:
    for name in ("hero", "items"):
        (art / f"{name}.txt").write_text("pixel art, thing\n")
    gem, hero, items = read_folder(art, 128)
    assert [s.native_size for s in (gem, hero, items)] == [(16, 16), (16, 16), (32, 16)]
    assert np.array_equal(native_sprite(hero).pixels, without_hidden_colour(SPRITES[0]))
    assert gem.caption == "pixel art, a gem of mine"
    assert Image.open(io.BytesIO(native_png(hero.file))).size == (16, 16)


def test_a_damaged_file_is_named_beside_the_others(art: Path, tmp_path: Path) -> None:
    (art / "items.ase").write_bytes((art / "items.ase").read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"items\.ase: damaged Aseprite file .*export it as PNG"):
        run(art, tmp_path / "out", create_captions=True)
    (art / "gem.txt").rename(art / "hero.txt")
    with pytest.raises(DatasetError, match=r"2 problem"):
        read_folder(art, 128)
