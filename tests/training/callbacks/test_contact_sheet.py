"""The contact sheet shows each prompt's samples in the order of steps, and a training sprite that fits the prompt."""

from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.training.callbacks.contact_sheet import (
    GAP_PX,
    HEADER_PX,
    LABEL_PX,
    TILE_PX,
    contact_sheet,
    similar_captions,
)


def test_the_nearest_caption_is_taken_once() -> None:
    captions = ["pixel art, blue key", "pixel art, red potion", "pixel art, green potion"]
    assert similar_captions(["pixel art, red potion", "pixel art, red potion", "a key"], captions) == [1, 2, 0]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    captions = ["pixel art, green potion", "pixel art, green key", "pixel art, blue slime"]
    assert similar_captions(["pixel art, green slime"], captions) == [2]


def test_one_sprite_may_stand_for_every_prompt() -> None:
    assert similar_captions(["x", "y"], ["only"]) == [0, 0]


def write_samples(folder: Path, steps: range, num_prompts: int) -> None:
    for step in steps:
        (folder / f"step_{step:06d}").mkdir(parents=True)
        for prompt in range(num_prompts):
            Image.new("RGB", (16, 16), (step, prompt, 7)).save(folder / f"step_{step:06d}" / f"{prompt:02d}_p.png")


def test_samples_stand_in_the_row_of_their_prompt_and_the_column_of_their_step(tmp_path: Path) -> None:
    write_samples(tmp_path, range(0, 30, 10), 2)
    references = [np.full((16, 16, 3), value, np.uint8) for value in (90, 91)]
    sheet = contact_sheet(tmp_path, ["first", "second"], references)
    for row in range(2):
        middle = HEADER_PX + TILE_PX * row + TILE_PX // 2
        found = [sheet.getpixel((LABEL_PX + TILE_PX * column + 64, middle)) for column in range(3)]
        assert found == [(0, row, 7), (10, row, 7), (20, row, 7)]
        assert sheet.getpixel((LABEL_PX + TILE_PX * 3 + GAP_PX + 64, middle)) == (90 + row,) * 3


def test_a_tall_image_keeps_its_shape_in_the_middle_of_its_tile(tmp_path: Path) -> None:
    (tmp_path / "step_000000").mkdir()
    Image.new("RGB", (16, 64), (1, 2, 3)).save(tmp_path / "step_000000" / "00_p.png")
    sheet = contact_sheet(tmp_path, ["p"], [np.full((16, 32, 3), 90, np.uint8)])
    tile = np.asarray(sheet)[HEADER_PX:, LABEL_PX : LABEL_PX + TILE_PX]
    shown = (tile == (1, 2, 3)).all(axis=-1)
    assert shown.sum() == TILE_PX * TILE_PX // 4
    assert shown[:, TILE_PX // 2 - TILE_PX // 8 : TILE_PX // 2 + TILE_PX // 8].all()
    reference = np.asarray(sheet)[HEADER_PX:, -TILE_PX:]
    assert (reference == 90).all(axis=-1).sum() == TILE_PX * TILE_PX // 2


def test_of_many_steps_the_first_and_the_last_are_shown(tmp_path: Path) -> None:
    write_samples(tmp_path, range(0, 200, 5), 1)
    sheet = contact_sheet(tmp_path, ["p"], [np.zeros((16, 16, 3), np.uint8)])
    assert sheet.width == LABEL_PX + 8 * TILE_PX + GAP_PX + TILE_PX
    middle = HEADER_PX + TILE_PX // 2
    assert sheet.getpixel((LABEL_PX + 64, middle)) == (0, 0, 7)
    assert sheet.getpixel((LABEL_PX + 7 * TILE_PX + 64, middle)) == (195, 0, 7)


def test_a_sheet_marks_trained_and_new_prompts_apart(tmp_path: Path) -> None:
    write_samples(tmp_path, range(0, 10, 10), 2)
    references = [np.zeros((16, 16, 3), np.uint8)] * 2
    plain, marked, other = (
        np.asarray(contact_sheet(tmp_path, ["first", "second"], references, taught))
        for taught in ((), ("first",), ("second",))
    )
    rows = [np.s_[HEADER_PX + TILE_PX * (n + 1) - 18 : HEADER_PX + TILE_PX * (n + 1), :LABEL_PX] for n in range(2)]
    assert (plain[rows[0]] == 255).all()
    assert np.array_equal(marked[rows[0]], other[rows[1]])
    assert np.array_equal(marked[rows[1]], other[rows[0]])
    assert not np.array_equal(marked[rows[0]], marked[rows[1]])
