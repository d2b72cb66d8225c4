"""Written sprites read back as they were, one by one and from the sheet."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from spritelora.commands.generate.pack import (
    FONT_PX,
    GAP_PX,
    SHEET_PX,
    TILE_PX,
    contact_sheet,
    encode_png,
    pack_sheet,
    wrapped,
)
from spritelora.sprites.pixels.image import read_sprite, without_hidden_colour
from spritelora.sprites.sheets.sheet import cut_image
from tests.conftest import draw_sprite


def test_an_indexed_file_reads_back_to_the_bit(tmp_path: Path) -> None:
    sprite = without_hidden_colour(draw_sprite(3))
    content, is_indexed = encode_png(sprite)
    (tmp_path / "a.png").write_bytes(content)
    assert (read_sprite(tmp_path / "a.png") == sprite).all()
    assert (is_indexed, Image.open(tmp_path / "a.png").mode) == (True, "P")


@pytest.mark.parametrize(("num_colours", "is_indexed"), [(255, True), (256, False)])
def test_what_an_indexed_file_cannot_hold_keeps_its_colours(num_colours: int, is_indexed: bool, tmp_path: Path) -> None:
    sprite = np.full((1, num_colours, 4), 255, dtype=np.uint8)
    sprite[0, :, 0] = np.arange(num_colours)
    content, told = encode_png(sprite)
    (tmp_path / "a.png").write_bytes(content)
    assert told == is_indexed
    assert (read_sprite(tmp_path / "a.png") == sprite).all()


def test_our_own_reader_cuts_the_sheet_into_the_sprites(tmp_path: Path) -> None:
    sprites = [without_hidden_colour(draw_sprite(i, 16 if i else 12)) for i in range(5)]
    names = ["axe_0", "axe_1", "cup", "cup-2", "key"]
    sheet, data = pack_sheet(sprites, names, [("axe", 0, 1), ("cup", 2, 2)], "sheet.png")
    (tmp_path / "sheet.png").write_bytes(encode_png(sheet)[0])
    (tmp_path / "sheet.json").write_text(json.dumps(data))
    cuts = cut_image(tmp_path / "sheet.png", None, all_frames=False, index=tmp_path / "sheet.json")
    assert [c.tag for c in cuts] == ["axe_0", "axe_1", "cup_0", "cup-2", "key"]
    for cut, sprite in zip(cuts, sprites, strict=True):
        assert (cut.pixels == sprite).all()


def test_the_contact_sheet_shows_each_native_pixel_as_a_square() -> None:
    sprite = without_hidden_colour(draw_sprite(1))
    picture = np.asarray(contact_sheet([("a label", [sprite, sprite])]))
    assert picture.shape == (36 + TILE_PX + GAP_PX, 2 * (TILE_PX + GAP_PX), 3)
    left = GAP_PX // 2 + TILE_PX + GAP_PX
    tile = picture[36 : 36 + TILE_PX, left : left + TILE_PX].reshape(16, 12, 16, 12, 3)
    seen = sprite[..., 3] > 0
    assert (tile[:, 0, :, 0][seen] == sprite[seen][:, :3]).all()
    assert (tile == tile[:, :1, :, :1])[seen[:, None, :, None].repeat(12, 1).repeat(12, 3)].all()


def test_a_contact_sheet_of_many_prompts_fits_a_screen_and_shows_each_letter() -> None:
    sprite = without_hidden_colour(draw_sprite(1))
    picture = contact_sheet([(f"pixel art, sprite {number}", [sprite]) for number in range(20)])
    assert picture.width <= SHEET_PX
    assert picture.height == 4 * (picture.height // 4)
    text = "pixel art, a knight " + "of" * 60 + " stone stairs"
    font = ImageFont.load_default(FONT_PX)
    assert all(font.getlength(line) <= 180 for line in wrapped(text, 180))
    assert "".join("".join(wrapped(text, 180)).split()) == "".join(text.split())
