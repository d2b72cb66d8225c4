"""Written sprites read back as they were, one by one and from the sheet."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.generate.pack import encode_png, pack_sheet
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
