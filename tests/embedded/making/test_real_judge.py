"""The judge of real sprites, and the figures it gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spritelora.commands.make_base.figures_of_base import without_ground
from spritelora.embedded.making.real_judge import (
    count_right,
    judged_words,
    kernel_distance,
    labels_of,
    thresholds,
    to_input,
    words_of,
)
from spritelora.embedded.making.sheets import shrink, write_sheet
from spritelora.embedded.real.hues import colours_of
from spritelora.embedded.real.records import PackedSet


def test_words_with_few_examples_are_not_judged(packed: PackedSet) -> None:
    beasts = [replace(packed.records[0], subject=f"beast {number}", is_held_out=False) for number in range(15)]
    assert judged_words(beasts) == ["aaa", "beast", "demons", "monster"]
    assert judged_words(beasts[:14]) == []
    assert labels_of(beasts[0], ["beast", "ninja"]).tolist() == [1.0, 0.0]
    assert "gray" not in words_of(beasts[0])


def test_a_threshold_lets_one_other_sprite_in_twenty_pass() -> None:
    logits = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    labels = np.zeros((4000, 3), np.float32)
    labels[::10] = 1
    limits = thresholds(logits, labels)
    assert ((logits > limits) & (labels == 0)).sum() / (labels == 0).sum() == pytest.approx(0.05, abs=0.002)


def test_views_are_counted_apart() -> None:
    words = ["ninja", "facing left"]
    logits, labels = np.array([[1.0, -1.0]], np.float32), np.array([[1.0, 1.0]], np.float32)
    assert count_right(logits, labels, np.zeros(2, np.float32), words) == (1, 1)
    assert count_right(logits, labels, np.zeros(2, np.float32), words, ["facing left"]) == (0, 1)


def test_two_halves_of_one_set_are_near_and_another_set_is_far() -> None:
    rng = np.random.default_rng(0)
    first, second, other = (rng.normal(mean, 1, (400, 8)).astype(np.float32) for mean in (0, 0, 1))
    assert abs(kernel_distance(first, second)) < 0.1 < kernel_distance(first, other)


def test_sprites_of_both_sizes_are_seen_at_one() -> None:
    small, tile = np.zeros((16, 16, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    assert to_input([small, tile]).shape == (2, 3, 32, 32)
    assert torch.equal(to_input([small]), torch.full((1, 3, 32, 32), -1.0))


def test_a_drawn_sprite_is_told_from_its_ground() -> None:
    sprite = np.full((16, 16, 3), 250, np.uint8)
    sprite[4:12, 4:12] = (208, 38, 42)
    assert colours_of(without_ground(sprite)) == ["red"]


def test_a_sheet_shows_every_sprite(tmp_path: Path) -> None:
    sprites = np.random.default_rng(0).integers(0, 256, (7, 16, 24, 3)).astype(np.uint8)
    np.testing.assert_array_equal(shrink(sprites.repeat(8, 1).repeat(8, 2)), sprites)
    write_sheet(sprites, ["a caption of a sprite"] * 7, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    np.testing.assert_array_equal(pixels[: 16 * 8 : 8, : 24 * 8 : 8], sprites[0])
