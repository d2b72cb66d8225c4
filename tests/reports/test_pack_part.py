"""The first lines of a report say in a sentence and a picture what a pack is, and show what was left out."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from spritelora.reports.pack_part import (
    LeftOutImage,
    LeftOutKind,
    PackPart,
    left_out_picture,
    overview_picture,
    pack_sentence,
)
from spritelora.reports.page import Picture
from spritelora.reports.set_report import make_report
from spritelora.sprites.grids.sheet_layout import SheetLayout
from tests.sprites.sheets.made_sheets import draw_cutouts


def pixels_of(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.url.partition(",")[2]))).convert("RGBA"))


@pytest.mark.parametrize(
    ("sizes", "left_out", "nameless", "sentence"),
    [
        (
            [(16, 16)] * 132,
            [(2, "pictures of the pack"), (2, "sheets of what lies there as single files")],
            132,
            "132 sprites of 16 px; left out: 2 pictures of the pack, 2 sheets of what lies there as single files; "
            "no subject in the names: 132",
        ),
        ([(16, 16)] * 1056 + [(38, 38)] * 66, [], 0, "1,122 sprites: 1,056 of 16 px, 66 of 38 px"),
        (
            [(16, 16)] * 5 + [(8, 9), (32, 36), (16, 28)],
            [],
            0,
            "8 sprites, 5 of them of 16 px, the others from 8x9 px to 32x36 px",
        ),
        ([(16, 20)], [], 0, "1 sprite of 16x20 px"),
    ],
)
def test_a_pack_in_a_sentence(
    sizes: list[tuple[int, int]], left_out: list[tuple[int, str]], nameless: int, sentence: str
) -> None:
    assert pack_sentence(sizes, left_out, nameless) == sentence


def test_the_overview_shows_sprites_from_all_parts_of_the_set() -> None:
    sprites = [np.full((4, 4, 4), (i, 255 - i, 7, 255), np.uint8) for i in range(200)]
    picture = overview_picture(sprites)
    assert picture is not None
    shown = {tuple(c) for c in np.unique(pixels_of(picture).reshape(-1, 4), axis=0).tolist() if c[3]}
    assert len(shown) == 60
    assert {(0, 255, 7, 255), (199, 56, 7, 255)} <= shown
    assert overview_picture([]) is None


def test_a_grid_is_laid_over_a_sheet_in_doubt() -> None:
    sheet = np.full((16, 32, 4), (10, 20, 30, 255), np.uint8)
    plain, gridded = left_out_picture(sheet, None), left_out_picture(sheet, SheetLayout((16, 16)))
    assert (pixels_of(plain) == (10, 20, 30, 255)).all()
    lines = (pixels_of(gridded) == (255, 0, 160, 255)).all(axis=-1)
    scale = gridded.width // 32
    assert lines[:, 0].all()
    assert lines[:, 16 * scale].all()
    assert not lines[scale : 15 * scale, scale : 15 * scale].any()
    assert gridded.label == "cells of sheet=16x16"


def test_the_page_names_what_was_left_out_and_how_to_have_it() -> None:
    picture = left_out_picture(draw_cutouts(1)[0], None)
    images = [LeftOutImage("Preview.png", picture, "'include=[Preview.png]' takes it"), LeftOutImage("<b>.png", None)]
    pack = PackPart("2 sprites of 16 px", None, [LeftOutKind("pictures of the pack", 3, images)])
    page = make_report("set", [], pack=pack)
    for text in ("2 sprites of 16 px", "3 pictures of the pack", "Preview.png", "cannot be shown", "1 more are not"):
        assert text in page
    assert "<b>.png" not in page
