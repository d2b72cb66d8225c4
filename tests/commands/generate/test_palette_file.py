"""Palette files of each kind are read in order, and a malformed one is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.generate.palette_file import read_palette
from spritelora.errors import DatasetError

COLOURS = [[12, 0, 255], [250, 3, 9], [0, 0, 0]]

GOOD = {
    "a.gpl": "GIMP Palette\nName: a\nColumns: 4\n# note\n 12   0 255\tblue\n250 3 9 red\n0 0 0\n250 3 9\n",
    "b.gpl": "GIMP Palette\nChannels: RGBA\n12 0 255 255 x\n250 3 9 255\n0 0 0 255\n9 9 9 0 mask\n",
    "c.hex": "0c00ff\n#FA0309\n\n000000\n",
    "d.pal": "JASC-PAL\r\n0100\r\n3\r\n12 0 255\r\n250 3 9\r\n0 0 0\r\n",
}
BAD = {
    "a.gpl": ("12 0 255\n", "does not begin with the line 'GIMP Palette'"),
    "b.gpl": ("GIMP Palette\n12 0 256\n", "line 2 does not begin with 3 numbers from 0 to 255"),
    "c.gpl": ("GIMP Palette\nName: none\n", "holds no colour"),
    "d.gpl": ("GIMP Palette\nChannels: RGBA\n1 2 3 128\n", "line 3 is a half-transparent colour"),
    "e.hex": ("0c00ff\n0c00f\n", "line 2 is '0c00f', not a colour written rrggbb"),
    "f.hex": ("", "holds no colour"),
    "g.pal": ("RIFF", "does not begin with 'JASC-PAL'"),
    "h.pal": ("JASC-PAL\n0100\n3\n1 2 3\n", "says '3' colours and has 1"),
    "i.hex": (
        "".join(f"0000{i % 256:02x}\n0001{i % 256:02x}\n" for i in range(256)),
        "holds 512 colours, over the 256",
    ),
    "j.png": ("no image", "corrupt or not an image"),
    "k.act": ("", "a palette is a .gpl, .hex, .pal (JASC) or .png file"),
}


@pytest.mark.parametrize("name", GOOD)
def test_distinct_colours_in_the_order_of_the_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(GOOD[name])
    assert read_palette(tmp_path / name).tolist() == COLOURS


def test_an_image_gives_its_visible_colours_in_reading_order(tmp_path: Path) -> None:
    row = [[*c, 255] for c in (*COLOURS, COLOURS[0])] + [[7, 7, 7, 0]]
    Image.fromarray(np.array([row], dtype=np.uint8)).save(tmp_path / "p.png")
    assert read_palette(tmp_path / "p.png").tolist() == COLOURS


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_file_is_named(name: str, tmp_path: Path) -> None:
    content, message = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError) as caught:
        read_palette(tmp_path / name)
    assert name in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such palette file"):
        read_palette(tmp_path / "none.hex")
