"""Sheets of labelled sprites: square pixels, whole labels, no wider than a screen."""

import numpy as np
from PIL import ImageFont

from spritelora.reports.labelled_sheet import FONT_PX, GAP_PX, SHEET_PX, TILE_PX, labelled_sheet, wrapped
from spritelora.sprites.pixels.image import without_hidden_colour
from tests.conftest import draw_sprite


def test_a_sheet_shows_each_native_pixel_as_a_square() -> None:
    sprite = without_hidden_colour(draw_sprite(1))
    picture = np.asarray(labelled_sheet([("a label", [sprite, sprite])]))
    assert picture.shape == (36 + TILE_PX + GAP_PX, 2 * (TILE_PX + GAP_PX), 3)
    left = GAP_PX // 2 + TILE_PX + GAP_PX
    tile = picture[36 : 36 + TILE_PX, left : left + TILE_PX].reshape(16, 12, 16, 12, 3)
    seen = sprite[..., 3] > 0
    assert (tile[:, 0, :, 0][seen] == sprite[seen][:, :3]).all()
    assert (tile == tile[:, :1, :, :1])[seen[:, None, :, None].repeat(12, 1).repeat(12, 3)].all()


def test_a_sheet_of_many_prompts_fits_a_screen_and_shows_each_letter() -> None:
    sprite = without_hidden_colour(draw_sprite(1))
    picture = labelled_sheet([(f"pixel art, sprite {number}", [sprite]) for number in range(20)])
    assert picture.width <= SHEET_PX
    assert picture.height == 4 * (picture.height // 4)
    text = "pixel art, a knight " + "of" * 60 + " stone stairs"
    font = ImageFont.load_default(FONT_PX)
    assert all(font.getlength(line) <= 180 for line in wrapped(text, 180))
    assert "".join("".join(wrapped(text, 180)).split()) == "".join(text.split())
