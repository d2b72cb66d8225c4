"""Sheets and animations: every sprite comes out as it was put in, and what is no sheet is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spritelora.embedded.drawn import draw_demo_set
from spritelora.errors import DatasetError
from spritelora.sprites.pixels.image import Pixels, without_hidden_colour
from spritelora.sprites.sheets.sheet import Cut, SheetLayout, cut_image, find_duplicates, parse_cell
from tests.sprites.sheets.made_sheets import (
    assert_shows,
    cut_sheet,
    draw_cutouts,
    frame_at,
    lay_out,
    rect,
    save,
    tag,
    tight,
    write_json,
)

AUTO = SheetLayout(None)


def test_a_whole_image_is_one_sprite(tmp_path: Path) -> None:
    (sprite,) = draw_cutouts(1)
    (cut,) = cut_image(save(sprite, tmp_path / "a.png"), None, all_frames=True)
    assert (cut.tag, cut.words) == ("", ())
    assert_shows(cut, sprite)


@pytest.mark.parametrize(("margin", "spacing"), [(0, 0), (3, 0), (0, 1), (4, 2)])
def test_a_fixed_grid_gives_back_each_sprite(margin: int, spacing: int, tmp_path: Path) -> None:
    sprites: list[Pixels | None] = [*draw_cutouts(11)]
    sprites[5] = None
    file = save(lay_out(sprites, 4, margin, spacing), tmp_path / "sheet.png")
    cuts = cut_image(file, SheetLayout((16, 16), margin, spacing), all_frames=False)
    expected = {f"r{i // 4}c{i % 4}": s for i, s in enumerate(sprites) if s is not None}
    assert [c.tag for c in cuts] == list(expected)
    for cut in cuts:
        assert_shows(cut, expected[cut.tag])


def test_cells_of_one_colour_are_left_out(tmp_path: Path) -> None:
    sheet = np.full((16, 48, 4), 255, np.uint8)
    sheet[:, 16:32, :3] = np.asarray(draw_demo_set()[0][0])
    cuts = cut_image(save(sheet, tmp_path / "sheet.png"), SheetLayout((16, 16)), all_frames=False)
    assert [c.tag for c in cuts] == ["r0c1"]


def test_an_image_of_one_cell_is_whole(tmp_path: Path) -> None:
    (sprite,) = draw_cutouts(1)
    (cut,) = cut_image(save(sprite, tmp_path / "a.png"), SheetLayout((16, 16)), all_frames=False)
    assert cut.tag == ""


@pytest.mark.parametrize(
    ("size", "layout", "message"),
    [
        ((16, 40), SheetLayout((16, 16)), "40x16 px is no whole number of cells of 16x16 px, margin 0, spacing 0"),
        ((16, 40), SheetLayout((64, 16)), "40x16 px is smaller than cells of 64x16 px"),
        ((300, 300), SheetLayout((1, 1)), "300x300 px has 90,000 cells of 1x1 px, .* over the limit of 65,536"),
        ((32, 32), SheetLayout((16, 16), margin=20), "32x32 px is smaller than cells of 16x16 px, margin 20"),
        ((32, 49), SheetLayout((16, 16), spacing=2), "49x32 px is no whole number of cells of 16x16 px, margin 0, sp"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(
    size: tuple[int, int], layout: SheetLayout, message: str, tmp_path: Path
) -> None:
    sheet = np.random.default_rng(0).integers(1, 255, (*size, 4), dtype=np.uint8)
    with pytest.raises(DatasetError, match=message) as error:
        cut_image(save(sheet, tmp_path / "sheet.png"), layout, all_frames=False)
    assert "sheet.png" in str(error.value)


def test_an_empty_sheet_is_refused(tmp_path: Path) -> None:
    file = save(np.zeros((32, 32, 4), np.uint8), tmp_path / "sheet.png")
    with pytest.raises(DatasetError, match="every cell is empty"):
        cut_image(file, SheetLayout((16, 16)), all_frames=False)


@pytest.mark.parametrize("pad", [0, 1, 8])
@pytest.mark.parametrize("seed", range(4))
def test_an_even_grid_is_found_by_its_gaps(pad: int, seed: int, tmp_path: Path) -> None:
    sprites = draw_cutouts(15, seed)
    cells: list[Pixels | None] = [*sprites, None]
    cuts = cut_image(save(lay_out(cells, 4, pad=pad), tmp_path / "sheet.png"), AUTO, all_frames=False)
    assert [c.tag for c in cuts] == [f"r{i // 4}c{i % 4}" for i in range(15)]
    for cut, sprite in zip(cuts, sprites, strict=True):
        assert cut.pixels.shape == (16 + 2 * pad, 16 + 2 * pad, 4)
        assert_shows(cut, np.pad(sprite, ((pad, pad), (pad, pad), (0, 0))))


@pytest.mark.parametrize("background", [None, (255, 0, 255, 255)])
def test_full_tiles_with_a_border_between_are_found(background: tuple[int, ...] | None, tmp_path: Path) -> None:
    tiles = [np.dstack([np.asarray(im), np.full((16, 16), 255, np.uint8)]) for im, _ in draw_demo_set()[:12]]
    sheet = lay_out(list(tiles), 4, margin=2, spacing=1)
    if background:
        sheet[sheet[..., 3] == 0] = background
    cuts = cut_image(save(sheet, tmp_path / "tiles.png"), AUTO, all_frames=False)
    assert len(cuts) == 12
    for cut, tile in zip(cuts, tiles, strict=True):
        assert_shows(cut, tile)


@pytest.mark.parametrize("seed", range(6))
def test_a_packed_sheet_is_taken_apart(seed: int, tmp_path: Path) -> None:
    """Tight boxes of several sizes on shelves, three pixels apart."""
    rng = np.random.default_rng(seed)
    sprites = [tight(s).repeat(k, 0).repeat(k, 1) for s, k in zip(draw_cutouts(9, seed), [1, 2, 3] * 3, strict=True)]
    sheet = np.zeros((190, 157, 4), np.uint8)
    x, y, shelf = 2, 1, 0
    for i in rng.permutation(9).tolist():
        h, w = sprites[i].shape[:2]
        if x + w + 1 > 157:
            x, y, shelf = 2, y + shelf + 3, 0
        sheet[y : y + h, x : x + w] = sprites[i]
        x, shelf = x + w + 3, max(shelf, h)
    cuts = cut_image(save(sheet, tmp_path / "packed.png"), AUTO, all_frames=False)
    found = sorted(without_hidden_colour(c.pixels).tobytes() for c in cuts)
    assert found == sorted(without_hidden_colour(s).tobytes() for s in sprites)
    assert len({c.tag for c in cuts}) == 9


def test_a_small_part_beside_a_sprite_stays_with_it(tmp_path: Path) -> None:
    sheet = np.zeros((40, 57, 4), np.uint8)
    sheet[5:25, 4:20] = (200, 40, 40, 255)
    sheet[10, 10] = (0, 0, 0, 255)
    sheet[3, 8] = (255, 255, 0, 255)  # a spark one pixel above it
    sheet[8:33, 30:51] = (40, 40, 200, 255)
    sheet[12, 40] = (0, 0, 0, 255)
    cuts = cut_image(save(sheet, tmp_path / "two.png"), AUTO, all_frames=False)
    assert [c.pixels.shape[:2] for c in cuts] == [(22, 16), (25, 21)]


@pytest.mark.parametrize("kind", ["one sprite", "noise", "flat", "specks", "huge"])
def test_what_is_no_sheet_is_refused(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = {
        "one sprite": draw_cutouts(1)[0],
        "noise": rng.integers(0, 255, (128, 128, 4), dtype=np.uint8) | np.array([0, 0, 0, 255], np.uint8),
        "flat": np.full((64, 64, 4), 255, np.uint8),
        "huge": np.zeros((4096, 4097, 4), np.uint8),
        "specks": np.where(rng.random((1200, 1200, 1)) < 0.3, 255, 0).astype(np.uint8).repeat(4, axis=2),
    }[kind]
    with pytest.raises(DatasetError, match="name the cells, such as sheet=32x32") as error:
        cut_image(save(pixels, tmp_path / "a.png"), AUTO, all_frames=False)
    assert "a.png" in str(error.value)


def test_cells_are_written_width_x_height() -> None:
    assert parse_cell("32x48") == parse_cell(" 32X48 ") == parse_cell("32×48") == (32, 48)
    for text in ("32", "32x", "x32", "-1x4", "32x32x32", "auto", "3.5x4", ""):
        with pytest.raises(ValueError, match="written WIDTHxHEIGHT in pixels, such as 32x32"):
            parse_cell(text)
    for text in ("0x32", "32x100000"):
        with pytest.raises(ValueError, match="sides of 1 to 16,384 px"):
            parse_cell(text)


def test_duplicates_are_told_once() -> None:
    first, second = draw_cutouts(2)
    loud = first.copy()
    loud[loud[..., 3] == 0] = (0, 255, 0, 0)
    cuts = [Cut(str(i), p, ()) for i, p in enumerate([first, second, loud, first, first[:8]])]
    assert find_duplicates(cuts) == [[0, 2, 3]]


@pytest.fixture
def hero(tmp_path: Path) -> tuple[Path, list[Pixels]]:
    """A strip of six frames."""
    sprites = draw_cutouts(6)
    return save(lay_out([*sprites], 6), tmp_path / "hero.png"), sprites


@pytest.mark.parametrize("form", ["hash", "array"])
def test_aseprites_frames_are_cut_and_named_by_their_tags(form: str, hero: tuple[Path, list[Pixels]]) -> None:
    sheet, sprites = hero
    named = {f"hero {i}.aseprite": frame_at(16 * i, 0) for i in range(6)}
    frames = named if form == "hash" else [{"filename": n, **f} for n, f in named.items()]
    write_json(sheet, frames, [tag("Walk Left", 0, 2), tag("idle", 3, 4)])
    cuts = cut_sheet(sheet, SheetLayout((8, 8)))  # the data file goes before the grid
    assert [c.tag for c in cuts] == ["walk-left_0", "walk-left_1", "walk-left_2", "idle_0", "idle_1", "5"]
    assert [c.words for c in cuts] == [("Walk Left",)] * 3 + [("idle",)] * 2 + [()]
    for cut, sprite in zip(cuts, sprites, strict=True):
        assert_shows(cut, sprite)


def test_frame_names_feed_tags_and_words(hero: tuple[Path, list[Pixels]]) -> None:
    sheet, _ = hero
    names = ["goblin_attack_0.png", "goblin_attack_1.png", "hero.png", "hero (Body) 3.ase", "Mage, fire", "mage fire"]
    write_json(sheet, [{"filename": n, **frame_at(16 * i, 0)} for i, n in enumerate(names)])
    cuts = cut_sheet(sheet, None)
    assert [c.tag for c in cuts] == ["goblin-attack-0", "goblin-attack-1", "2", "body-3", "mage-fire", "mage-fire-2"]
    assert [c.words for c in cuts] == [
        ("goblin attack",),
        ("goblin attack",),
        (),
        ("body",),
        ("mage fire",),
        ("mage fire",),
    ]


def test_a_frame_of_several_tags_is_named_by_the_shortest(hero: tuple[Path, list[Pixels]]) -> None:
    sheet, _ = hero
    tags = [tag("all", 0, 5), tag("walk", 0, 2), tag("Walk", 3, 5)]
    write_json(sheet, [{"filename": str(i), **frame_at(16 * i, 0)} for i in range(6)], tags)
    cuts = cut_sheet(sheet, None)
    assert [c.tag for c in cuts] == ["walk_0", "walk_1", "walk_2", "walk_0-2", "walk_1-2", "walk_2-2"]
    assert cuts[0].words == ("walk", "all")


def test_trimmed_padded_and_turned_frames_are_restored(tmp_path: Path) -> None:
    first, second, third = draw_cutouts(3)
    sheet = np.zeros((32, 64, 4), np.uint8)
    frames: list[dict[str, Any]] = []
    for i, (sprite, turn, inner) in enumerate([(first, 0, 0), (second, 3, 0), (third, 0, 2)]):
        ys, xs = np.nonzero(sprite[..., 3])
        part = tight(sprite)
        h, w = part.shape[:2]
        lies = np.rot90(part, turn)  # three quarters against the clock are one with it
        x, y = 1 + 21 * i, 2
        sheet[y + inner : y + inner + lies.shape[0], x + inner : x + inner + lies.shape[1]] = lies
        trimmed = rect(int(xs.min()), int(ys.min()), w, h)
        frames.append(
            frame_at(
                0, 0, frame=rect(x, y, w + 2 * inner, h + 2 * inner), rotated=turn > 0, trimmed=True,
                spriteSourceSize=trimmed, filename=f"s {i}",
            )
        )  # fmt: skip
    file = save(sheet, tmp_path / "s.png")
    write_json(file, frames)
    cuts = cut_sheet(file, None)
    for cut, sprite in zip(cuts, [first, second, third], strict=True):
        assert_shows(cut, sprite)


def test_empty_frames_are_left_out_and_numbers_stay(tmp_path: Path) -> None:
    sprites: list[Pixels | None] = [*draw_cutouts(4)]
    sprites[1] = None
    sheet = save(lay_out(sprites, 4), tmp_path / "fx.png")
    write_json(sheet, [{"filename": f"fx {i}", **frame_at(16 * i, 0)} for i in range(4)], [tag("burn", 0, 3)])
    assert [c.tag for c in cut_sheet(sheet, None)] == ["burn_0", "burn_2", "burn_3"]


def test_names_of_a_stranger_stay_names(hero: tuple[Path, list[Pixels]]) -> None:
    sheet, _ = hero
    evil = ["../../etc/passwd", "/root/x", "a\0b\nc", "..\\..\\w", "歩く", "x" * 500]
    tags = [tag(name, i, i) for i, name in enumerate(evil)]
    write_json(sheet, [{"filename": n, **frame_at(16 * i, 0)} for i, n in enumerate(evil)], tags, image="../../x.png")
    cuts = cut_sheet(sheet, None)
    assert [c.tag for c in cuts] == ["etc-passwd_0", "root-x_0", "a-b-c_0", "w_0", "歩く_0", f"{'x' * 40}_0"]
    assert all(w.isprintable() and "," not in w and len(w) <= 60 for c in cuts for w in c.words)


def test_json_of_another_kind_is_not_asked(hero: tuple[Path, list[Pixels]]) -> None:
    sheet, _ = hero
    sheet.with_suffix(".json").write_text('{"title": "hero", "frames": 6}')
    assert [c.tag for c in cut_sheet(sheet, None)] == [""]


HUGE = {"w": 16384, "h": 16384}
GOOD = [{"filename": "a", **frame_at(0, 0)}]


@pytest.mark.parametrize(
    ("frames", "tags", "meta", "message"),
    [
        ([], [], {}, "describes no frames"),
        ("x", [], {}, "frames is no JSON list"),
        ([7], [], {}, "frame 0 is no JSON object"),
        ([{"filename": "a"}], [], {}, "frame 'a': frame is no JSON object"),
        ([{"filename": "a", **frame_at(-1, 0)}], [], {}, "frame 'a': x is -1, not a whole number from 0"),
        ([{"filename": "a", **frame_at(0, True)}], [], {}, "frame 'a': y is True, not a whole number"),
        ([{"filename": "a", **frame_at(90, 0)}], [], {}, "frame 'a' lies outside the sheet of 96x16 px"),
        ([{"filename": "a", **frame_at(0, 0, frame=rect(0, 0, 0, 16))}], [], {}, "w is 0, not a whole number from 1"),
        ([{"filename": "a", **frame_at(0, 0, frame=rect(0, 0, 9, 16))}], [], {}, "9x16 px on the sheet and 16x16 px"),
        ([{"filename": "a", **frame_at(0, 0, sourceSize={"w": 8, "h": 8})}], [], {}, "does not lie within its own"),
        ([{"filename": "a", **frame_at(0, 0, sourceSize=HUGE)}], [], {}, "frames are over the limit of 67,108,864"),
        (GOOD, [tag("walk", 9, 0)], {}, "tag 'walk' covers frames 9 to 0, and ends before it begins"),
        (GOOD, [{"from": 0, "to": 0}], {}, "a tag has no name"),
        (GOOD, [tag("walk", 0, 0)] * 1025, {}, "1,025 tags are over the limit of 1,024"),
        (GOOD, [], {"size": {"w": 64, "h": 64}, "image": "b.png"}, "describes b.png of 64x64 px, and this"),
    ],
)  # fmt: skip
def test_bad_data_is_named(
    frames: Any, tags: Any, meta: dict[str, Any], message: str, hero: tuple[Path, list[Pixels]]
) -> None:
    sheet, _ = hero
    write_json(sheet, frames, tags, **meta)
    with pytest.raises(DatasetError, match=message) as error:
        cut_sheet(sheet, None)
    assert "hero.json" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"frames": {', "Expecting property name"),
        (b"[" * 100_000, "recursion"),
        (b"\xff\xfe\x00", "cannot be read as UTF-8"),
        (
            b'{"frames": {"a": {}, "a": {}}, "meta": {}}',
            "has 'a' twice and one would be lost; export the data as Array",
        ),
    ],
)
def test_broken_json_is_named(content: bytes, message: str, hero: tuple[Path, list[Pixels]]) -> None:
    sheet, _ = hero
    sheet.with_suffix(".json").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        cut_sheet(sheet, None)
