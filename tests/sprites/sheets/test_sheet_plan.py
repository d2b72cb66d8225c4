"""The images of a set tell one another whether they are sheets; texts and single files beside them do too."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.sheets.frame_list import parse_frame_list
from spritelora.sprites.sheets.grid_texts import find_layouts
from spritelora.sprites.sheets.sheet_index import find_frame_lists
from spritelora.sprites.sheets.sheet_plan import SheetPlan, plan_sheets
from tests.sprites.sheets.made_grids import draw_tile, made_sheet
from tests.sprites.sheets.made_sheets import draw_cutouts, lay_out


def plan_of(images: dict[str, Pixels], **told: SheetLayout) -> SheetPlan:
    sizes: dict[str, Pair] = {name: (pixels.shape[1], pixels.shape[0]) for name, pixels in images.items()}
    return plan_sheets(sizes, told, images.__getitem__)


def tiles(number: int, seed: int = 0) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [draw_tile(rng, 16, 16) for _ in range(number)]


def test_sheets_beside_single_sprites_of_their_own_size_rule() -> None:
    images = {f"a{i}/SpriteSheet.png": lay_out([*draw_cutouts(16, i)], 4) for i in range(6)}
    images |= {f"a{i}/Face.png": np.pad(s, ((11, 11), (11, 11), (0, 0))) for i, s in enumerate(draw_cutouts(6, 50))}
    plan = plan_of(images)
    assert plan.layouts == {name: SheetLayout((16, 16)) for name in images if "Sheet" in name}
    assert plan.doubts == []


def test_a_sheet_of_the_single_files_is_known_by_them() -> None:
    cells = tiles(24)
    for cell in cells:
        cell[:] = cells[0]  # seamless: no evidence in the sheet itself
    for i, cell in enumerate(cells):
        cell[8, i % 16] = (10 + i, 0, 0, 255)
    images = {f"tile_{i}.png": cell for i, cell in enumerate(cells)}
    images["all.png"] = lay_out([*cells], 6)
    assert plan_of(images).layouts == {"all.png": SheetLayout((16, 16))}


def test_a_sheet_in_doubt_is_named_with_grids_that_divide_it() -> None:
    images = {f"s{i}.png": s for i, s in enumerate(draw_cutouts(6))}
    images["tileset.png"] = np.dstack([np.random.default_rng(0).integers(0, 255, (96, 96, 3)), np.full((96, 96), 255)])
    images["tileset.png"] = images["tileset.png"].astype(np.uint8)
    (doubt,) = plan_of(images).doubts
    assert (doubt.name, doubt.size, doubt.guesses[0]) == ("tileset.png", (96, 96), SheetLayout((16, 16)))
    assert len(doubt.guesses) == 2


def test_one_picture_and_sprites_of_many_sizes_are_no_sheets() -> None:
    rng = np.random.default_rng(2)
    images = {f"{i}.png": np.pad(s, ((i, 2), (3, 2 * i), (0, 0))) for i, s in enumerate(draw_cutouts(12))}
    images["boss.png"] = np.pad(draw_cutouts(1, 9)[0].repeat(3, 0).repeat(3, 1), ((2, 1), (3, 1), (0, 0)))
    images["boss.png"][rng.integers(10, 30), 20] = (1, 2, 3, 255)
    plan = plan_of(images)
    assert (plan.layouts, plan.doubts) == ({}, [])


@pytest.mark.parametrize("kind", ["blank", "specks", "noise"])
def test_what_shows_nothing_is_no_sheet_and_no_crash(kind: str) -> None:
    rng = np.random.default_rng(0)
    pixels = np.zeros((300, 300, 4), np.uint8)
    if kind != "blank":
        pixels[:] = np.dstack([rng.integers(0, 255, (300, 300, 3)), np.full((300, 300), 255)])
    if kind == "specks":
        pixels[..., 3] = np.where(rng.random((300, 300)) < 0.3, 255, 0)
    assert plan_of({"a.png": pixels}).layouts == {}


def test_a_text_that_tells_the_grid_is_believed() -> None:
    made = made_sheet(9).pixels
    assert plan_of({"a": made}, a=SheetLayout((11, 7))).layouts == {"a": SheetLayout((11, 7))}


TEXTS: list[tuple[str, str, Pair, SheetLayout | None]] = [
    (
        "Tilesheet.txt",
        "Tile size                 •  16px × 16px\nSpace between tiles       •  1px × 1px\n",
        (203, 186),
        SheetLayout((16, 16), 0, 1),
    ),
    (
        "info.txt",
        "The tiles are 16 x 16px and have a 1px margin between them.\n\nTILE SIZE: 16 x 16\nMARGIN: 1",
        (968, 526),
        SheetLayout((16, 16), 0, 1),
    ),
    ("info.txt", "Tile size: 32x32", (64, 96), SheetLayout((32, 32))),
    ("info.txt", "Tile size: 32x32", (64, 100), None),
    ("info.txt", "Tile size: 32x32 or tiles of 16x16", (64, 96), None),
    ("license.txt", "You may use these tiles in 3 games", (64, 96), None),
    (
        "map.tsx",
        '<tileset tilewidth="16" tileheight="16" spacing="1"><image source="img/a.png"/></tileset>',
        (203, 186),
        SheetLayout((16, 16), 0, 1),
    ),
    ("map.tsx", '<tileset tilewidth="16"><image source="img/a.png"/></tileset>', (203, 186), None),
    ("map.tsx", "export const a = <div/>", (203, 186), None),
    ("map.tsx", '<!DOCTYPE a [<!ENTITY b "c">]><tileset tilewidth="16" tileheight="16"/>', (203, 186), None),
]


@pytest.mark.parametrize(("name", "text", "size", "layout"), TEXTS)
def test_grids_of_texts(name: str, text: str, size: Pair, layout: SheetLayout | None, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    found = find_layouts(tmp_path, [file], {"img/a.png": size})
    assert found == ({"img/a.png": (layout, (file,))} if layout else {})


def test_lists_of_frames_belong_to_the_one_image_that_holds_them(tmp_path: Path) -> None:
    file = tmp_path / "tile_list_v1.5"
    file.write_text("orc_idle 0 0 16 20 4\nchest 64 0 16 16\n\nbow 0 20 8 8\n")
    sizes: dict[str, Pair] = {"sheet.png": (128, 128), "small.png": (32, 32), "sub/other.png": (128, 128)}
    assert find_frame_lists(tmp_path, [file], sizes) == {"sheet.png": file}
    assert find_frame_lists(tmp_path, [file], {**sizes, "b.png": (256, 256)}) == {}
    data = parse_frame_list(file.read_text())
    assert data is not None
    assert [(f.name, f.corner, f.size) for f in data.frames] == [
        *[(f"orc_idle_f{i}", (16 * i, 0), (16, 20)) for i in range(4)],
        ("chest", (64, 0), (16, 16)),
        ("bow", (0, 20), (8, 8)),
    ]


@pytest.mark.parametrize("text", ["", "a 1 2 3 4", "a 1 2 3 4\nb 1 2 3\nc 1 2 3 4", "a red potion\n" * 5])
def test_other_texts_are_no_lists(text: str) -> None:
    assert parse_frame_list(text) is None


def test_a_list_of_empty_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="frame 'b' is of 0x4 px at 1, 2"):
        parse_frame_list("a 1 2 3 4\nb 1 2 0 4\nc 1 2 3 4")


def test_a_layout_is_told_as_it_is_typed() -> None:
    layouts: list[Any] = [SheetLayout((16, 24)), SheetLayout((8, 8), 2, 1), SheetLayout(None)]
    assert [x.typed for x in layouts] == ["sheet=16x24", "sheet=8x8 margin=2 spacing=1", "sheet=gaps"]
