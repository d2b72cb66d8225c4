"""Frames, views and recolours are one subject; the cells of a sheet are as many as their captions name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.config.train.data_keys import Balance, DataConfig
from spritelora.data.training_set import read_training_set
from spritelora.runs.record import RunData
from spritelora.sprites.folder.same_subject import find_subjects
from spritelora.sprites.folder.sprite_folder import read_folder
from tests.conftest import draw_sprite


def add(folder: Path, name: str, pixels: np.ndarray, caption: str | None = None) -> None:
    file = folder / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    file.with_suffix(".txt").write_text(caption or f"pixel art, {name}")


def subjects(folder: Path, numbers_apart: bool = True) -> list[set[str]]:
    """The names of each subject's images, without suffix, where there is more than one."""
    sprites = read_folder(folder, 128)
    found: dict[str, set[str]] = {}
    for sprite, subject in zip(sprites, find_subjects(sprites, numbers_apart), strict=True):
        found.setdefault(subject, set()).add(sprite.name.removesuffix(".png"))
    return sorted((names for names in found.values() if len(names) > 1), key=lambda names: sorted(names))


def test_frames_and_views_by_their_names_and_recolours_by_their_pixels(tmp_path: Path) -> None:
    frames = [f"knight_{pose}_{n}" for pose in ("walk", "idle_left") for n in range(2)]
    for number, name in enumerate([*frames, "bat", "01", "02", "mage/attack_1", "mage/idle"]):
        add(tmp_path, name, draw_sprite(number))
    bat = draw_sprite(4)
    recoloured = bat.copy()
    recoloured[..., :3] = 255 - bat[..., :3] // 2
    add(tmp_path, "vampire", recoloured[:, ::-1].repeat(2, 0).repeat(2, 1))
    flat = np.full((16, 16, 4), 255, dtype=np.uint8)
    add(tmp_path, "stone", flat // 2)
    add(tmp_path, "snow", flat)
    assert subjects(tmp_path) == [{"bat", "vampire"}, set(frames), {"mage/attack_1", "mage/idle"}]


def test_names_with_other_numbers_are_as_many_subjects_as_captions(tmp_path: Path) -> None:
    captions = ["a short sword", "a burning sword", "a short sword, side"]
    for number, caption in enumerate(captions):
        add(tmp_path, f"sword_{number}", draw_sprite(number), caption)
    for number, caption in enumerate(["a knight, sword raised", "a knight, sword lowered"]):
        add(tmp_path, f"knight_walk_{number}", draw_sprite(5 + number), caption)
    add(tmp_path, "knight", draw_sprite(8), "a knight with a sword")
    knights = {"knight", "knight_walk_0", "knight_walk_1"}
    assert subjects(tmp_path) == [knights, {"sword_0", "sword_2"}]
    assert subjects(tmp_path, numbers_apart=False) == [knights, {"sword_0", "sword_1", "sword_2"}]


def test_a_sheets_cells_are_one_subject_or_several_by_their_captions(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    cells = [draw_sprite(number) for number in range(8)]
    add(raw, "hero", np.concatenate(cells[:4], axis=1))
    add(raw, "things", np.concatenate(cells[4:], axis=1))
    prepare(PrepareConfig(input=str(raw), output=str(out), resolution=128, sheet="16x16", workers=1))
    named = [("a hero walking left", "things_r0c0"), ("a hero, idle", "things_r0c1"), ("a green bat", "things_r0c2")]
    for caption, stem in named:
        (out / f"{stem}.txt").write_text(caption)
    heroes = {f"hero_r0c{n}" for n in range(4)}
    assert subjects(out) == [heroes, {"things_r0c0", "things_r0c1"}]
    (out / "things_r0c1.txt").write_text("a red bat, idle")
    assert subjects(out) == [heroes]


def test_balance_by_file_knows_no_subjects_and_a_record_brings_its_factor_and_matte(tmp_path: Path) -> None:
    for number in range(12):
        add(tmp_path, f"knight_walk_{number}" if number < 6 else "abcdef"[number - 6], draw_sprite(number))
    by_subject = read_training_set(DataConfig(path=str(tmp_path)), 128)
    by_file = read_training_set(DataConfig(path=str(tmp_path), balance=Balance.file), 128)
    assert (by_file.subjects_hash, {s.subject for s in by_file.training}) == (None, {""})
    assert by_subject.hash == by_file.hash
    assert by_subject.subjects_hash is not None
    assert len({s.subject for s in by_subject.training}) < len(by_subject.training)
    assert (by_subject.factor, by_subject.matte) == (8, (255, 255, 255))
    begun = RunData(by_subject.hash, 11, 1, "#102030", factor=4)
    again = read_training_set(DataConfig(path=str(tmp_path)), 128, trained=begun)
    assert (again.factor, again.matte) == (4, (16, 32, 48))
    too_large = replace(begun, factor=16)
    assert read_training_set(DataConfig(path=str(tmp_path)), 128, trained=too_large).factor == 8


def test_a_run_that_was_begun_with_numbers_as_one_subject_goes_on_so(tmp_path: Path) -> None:
    for number in range(12):
        add(
            tmp_path,
            f"sword_{number}" if number < 6 else "abcdef"[number - 6],
            draw_sprite(number),
            f"a sword of {'abcdefghijkl'[number]}",
        )
    now = read_training_set(DataConfig(path=str(tmp_path)), 128)
    begun = RunData(now.hash, 11, 1, now.matte_text, factor=8)
    before = read_training_set(DataConfig(path=str(tmp_path)), 128, trained=begun)
    again = read_training_set(DataConfig(path=str(tmp_path)), 128, trained=replace(begun, numbers_apart=True))
    assert now.subjects_hash is again.subjects_hash is None
    assert before.subjects_hash is not None
    assert (now.numbers_apart, before.numbers_apart, again.numbers_apart) == (True, False, True)
