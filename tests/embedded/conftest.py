"""A small folder of sprites, laid out as the real ones are."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.embedded.real.lessons import Lessons
from spritelora.embedded.real.packs import read_sources
from spritelora.embedded.real.records import PackedSet, pack

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"

RED, BLUE, GRAY = (208, 38, 42), (46, 82, 208), (138, 140, 148)


def write_sprite(file: Path, colour: tuple[int, int, int], shape: tuple[int, int], side_px: int = 32) -> None:
    """A rectangle of a colour with a dark outline, in the middle of a transparent square.

    One that does not fill the square has a slanting corner, for what hides its whole ground is a tile.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side_px, side_px, 4), np.uint8)
    top, left = (side_px - shape[0]) // 2, (side_px - shape[1]) // 2
    pixels[top : top + shape[0], left : left + shape[1]] = (20, 16, 24, 255)
    pixels[top + 1 : top + shape[0] - 1, left + 1 : left + shape[1] - 1] = (*colour, 255)
    if max(shape) < side_px:
        cut = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) < 7
        pixels[top : top + shape[0], left : left + shape[1]][cut] = 0
    Image.fromarray(pixels).save(file)


def write_rows(file: Path, rows: list[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_data(folder: Path) -> None:
    """Twelve tiles, four parts, and two people in four views with a potion that is held out."""
    tiles = [
        {"file_name": f"monster/{letter}_00.png", "text": f"pixel art, grey beast {letter * 3}, demons, monster"}
        for letter in "abcdefghijkl"
    ]
    for row in tiles:
        write_sprite(folder / "cc0" / row["file_name"], RED, (30, 22))
    write_sprite(folder / "cc0" / "dungeon/stone_00.png", GRAY, (32, 32))
    tiles.append({"file_name": "dungeon/stone_00.png", "text": "pixel art, stone, floor, dungeon, full tile"})
    write_rows(folder / "cc0" / "metadata.jsonl", tiles)
    parts = [{"file_name": f"{layer}/{layer}.png", "layer": layer, "name": name} for layer, name in
             (("base", "elf f"), ("cloak", "cape1"), ("hand1", "axe small"), ("barding", "horse"))]  # fmt: skip
    for row in parts:
        write_sprite(folder / "cc0_parts" / row["file_name"], BLUE, (20, 10))
    write_rows(folder / "cc0_parts" / "parts.jsonl", parts)
    small: list[dict[str, str]] = []
    for person, colour in (("ninja", RED), ("ranger", BLUE)):
        for number, view in enumerate(("seen from the front", "seen from the back", "facing left", "facing right")):
            name = f"heroes/{person}_{number}.png"
            write_sprite(folder / "cc0_small" / name, colour, (14, 11), 16)
            text = f"{person}, standing, {view}"
            row = {"file_name": name, "text": text, "subject": f"heroes/{person}", "pack": "ninja-adventure"}
            small.append(row)
    write_sprite(folder / "cc0_small" / "items/potion.png", BLUE, (12, 9), 16)
    small.append({"file_name": "items/potion.png", "text": "potion", "subject": "items/potion", "pack": "tiny-dungeon"})
    write_rows(folder / "cc0_small" / "metadata.jsonl", small)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="session")
def packed(data_folder: Path) -> PackedSet:
    return pack(*read_sources(data_folder))


@pytest.fixture(scope="session")
def lessons(packed: PackedSet) -> Lessons:
    return Lessons(packed)
