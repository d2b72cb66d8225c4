"""A sheet whose grid is sure is cut exactly, and whatever leaves a doubt is asked about: never is one cut wrongly."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.sprites.grids.cell_grid import grid_cells
from spritelora.sprites.grids.sheet_layout import SheetLayout
from spritelora.sprites.pixels.image import Pixels, read_sprite
from spritelora.sprites.sheets.sheet_verdict import is_on_grid, judge_sheets
from tests.conftest import ROOT
from tests.sprites.sheets.made_grids import MadeSheet, contents, made_sheet
from tests.sprites.sheets.made_sheets import draw_cutouts, lay_out

DATA = next((p for up in ROOT.parents if (p := up / "shared" / "data" / "packs").is_dir()), None)


def outcome(made: MadeSheet) -> str:
    """Exact where each cut shows what was put there, wrong where it does not, asked where nothing is cut."""
    layout = judge_sheets([made.pixels]).sure
    if layout is None:
        return "asked"
    cells = [cell.cut(made.pixels) for cell in grid_cells(made.pixels, layout)]
    return "exact" if contents(cells, made.background) == made.sprites else f"wrong: {made.kind}: {layout.typed}"


def test_made_sheets_are_cut_exactly_or_not_at_all() -> None:
    outcomes = Counter(outcome(made_sheet(seed)) for seed in range(30))
    assert set(outcomes) == {"exact", "asked"}
    assert outcomes["exact"] >= 15


@pytest.mark.slow
def test_two_hundred_made_sheets_are_cut_exactly_or_not_at_all() -> None:
    outcomes = Counter(outcome(made_sheet(seed)) for seed in range(1000, 1200))
    assert set(outcomes) == {"exact", "asked"}
    assert outcomes["exact"] >= 100


@pytest.mark.parametrize("seed", [9, 19, 29, 39, 49, 59, 69])
def test_what_has_no_grid_is_not_cut(seed: int) -> None:
    assert judge_sheets([made_sheet(seed).pixels]).sure is None


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("margin", "spacing"), [(0, 1), (2, 0), (1, 2)])
def test_enlarged_sheets_have_enlarged_cells(scale: int, margin: int, spacing: int) -> None:
    sheet = lay_out([*draw_cutouts(40)], 8, margin, spacing).repeat(scale, 0).repeat(scale, 1)
    layout = judge_sheets([sheet]).sure
    assert layout is not None
    found = contents([cell.cut(sheet) for cell in grid_cells(sheet, layout)], (0, 0, 0, 0))
    assert found == contents([s.repeat(scale, 0).repeat(scale, 1) for s in draw_cutouts(40)], (0, 0, 0, 0))


def test_panes_of_one_window_are_no_sheet() -> None:
    window = np.full((49, 49, 4), (90, 60, 30, 255), np.uint8)
    for y in range(1, 49, 12):
        for x in range(1, 49, 12):
            window[y : y + 11, x : x + 11] = (120, 160, 220, 255)
            window[y : y + 5, x : x + 5] = (220, 230, 250, 255)
    assert judge_sheets([window]).sure is None


def test_the_pixels_of_an_enlarged_jpeg_are_no_cells() -> None:
    """Cells of 16 or 24 px in a sprite that was enlarged 8 times are two or three of its own pixels."""
    for sprite in draw_cutouts(12):
        flat = np.where(sprite[..., 3:] > 0, sprite[..., :3], 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(flat.repeat(8, 0).repeat(8, 1)).save(stream, "JPEG", quality=90)
        image = np.asarray(Image.open(stream).convert("RGBA"))
        verdict = judge_sheets([image])
        assert verdict.sure is None
        assert not [guess.typed for guess in verdict.guesses if guess.cell and min(guess.cell) < 64]


def test_single_sprites_of_one_size_are_no_sheets() -> None:
    sprites = [np.tile(s, (1, 1, 1)).repeat(2, 0).repeat(2, 1) for s in draw_cutouts(24)]
    for s in sprites:
        s[0, 0] = (1, 2, 3, 255)  # no clean enlargements
    verdict = judge_sheets(sprites)
    assert (verdict.sure, verdict.is_likely) == (None, False)


def test_sheets_of_one_size_tell_their_grid_together() -> None:
    sheets = [lay_out([*draw_cutouts(16, seed)], 4) for seed in range(12)]
    assert judge_sheets(sheets).sure == SheetLayout((16, 16))
    assert all(is_on_grid(sheet, SheetLayout((16, 16))) for sheet in sheets)


def test_guesses_are_two_grids_at_most_and_different() -> None:
    for seed in range(30):
        guesses = judge_sheets([made_sheet(seed).pixels]).guesses
        assert len(guesses) == len(set(guesses)) <= 2


PACKS = {
    "tiny-creatures/tilemap_packed.png": SheetLayout((16, 16)),
    "tiny-dungeon/Tilemap/tilemap.png": SheetLayout((16, 16), 0, 1),
    "roguelike/roguelikeSheet_transparent.png": SheetLayout((16, 16), 0, 1),
    "roguelike/roguelikeSheet_magenta.png": SheetLayout((16, 16), 0, 1),
    "tiny-dungeon/Tilemap/tilemap_packed.png": None,
    "dungeon-tileset-2/0x72_DungeonTilesetII_v1.5.png": None,
    "tiny-dungeon/Preview.png": None,
    "tiny-dungeon/Sample.png": None,
    "ninja-items/AllPreview.png": None,
    "ninja-items/WeaponPreview2.png": None,
}


@pytest.mark.skipif(DATA is None, reason="needs the shared packs")
@pytest.mark.parametrize("name", PACKS)
def test_sheets_of_real_packs_alone(name: str) -> None:
    assert DATA is not None
    assert judge_sheets([read_sprite(DATA / name)]).sure == PACKS[name]


@pytest.mark.skipif(DATA is None, reason="needs the shared packs")
def test_faces_and_monsters_of_a_real_pack() -> None:
    assert DATA is not None
    sizes: dict[tuple[int, ...], list[Pixels]] = {}
    for file in sorted((DATA / "ninja-monsters").glob("*/*.png")):
        pixels = read_sprite(Path(file))
        sizes.setdefault(pixels.shape, []).append(pixels)
    assert {shape[0]: judge_sheets(images).sure for shape, images in sizes.items()} == {
        38: None,
        64: SheetLayout((16, 16)),
    }
