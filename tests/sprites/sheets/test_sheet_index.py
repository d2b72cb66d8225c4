"""Every data file beside a sheet is read, or named with what to do; nothing of a stranger's XML is obeyed."""

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest

from spritelora.errors import DatasetError
from spritelora.sprites.findings import Severity
from spritelora.sprites.folder.walk import walk_folder
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.sheets.atlas_xml import parse_atlas
from spritelora.sprites.sheets.sheet import SheetLayout, cut_image
from spritelora.sprites.sheets.sheet_index import Indexes, find_indexes
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

ANIMATIONS = Path(__file__).parents[4] / "shared" / "data" / "cc0_animations"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    made.mkdir()
    return made


def indexes(folder: Path) -> Indexes:
    files = walk_folder(folder).files
    images = [f.relative_to(folder).as_posix() for f in files if f.suffix == ".png"]
    return find_indexes(folder, files, images)


def strip(folder: Path, name: str = "hero.png", number: int = 3, seed: int = 0) -> tuple[Path, list[Pixels]]:
    sprites = draw_cutouts(number, seed)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return save(lay_out([*sprites], number), file), sprites


def atlas(parts: list[dict[str, Any]], image: str = "hero.png", head: str = "") -> str:
    lines = [
        "<SubTexture " + " ".join(f"{key}={quoteattr(str(value))}" for key, value in part.items()) + "/>"
        for part in parts
    ]
    start = f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<TextureAtlas imagePath="{image}">'
    return f"{start}{''.join(lines)}</TextureAtlas>"


def part_at(x: int, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "x": x, "y": 0, "width": 16, "height": 16, **more}


def test_an_atlas_of_kenney_or_starling_is_cut_and_named(folder: Path) -> None:
    sheet, sprites = strip(folder)
    names = ["playerShip1_blue.png", "laser 02.png", "hero_hit0001"]
    text = "\ufeff" + atlas([part_at(16 * i, name) for i, name in enumerate(names)], image="sprites.png")
    (folder / "hero.XML").write_text(text, encoding="utf-8")
    found = indexes(folder)
    assert (found.files, found.findings) == ({"hero.png": folder / "hero.XML"}, [])
    cuts = cut_sheet(sheet, SheetLayout((8, 8)), ".XML")
    assert [c.tag for c in cuts] == ["playership1-blue", "laser-02", "hit0001"]
    assert [c.words for c in cuts] == [("playership1 blue",), ("laser",), ("hit",)]
    for cut, sprite in zip(cuts, sprites, strict=True):
        assert_shows(cut, sprite)


def test_trimmed_and_turned_parts_of_an_atlas_are_restored(folder: Path) -> None:
    sheet = np.zeros((20, 60, 4), np.uint8)
    sprites = draw_cutouts(2)
    parts: list[dict[str, Any]] = []
    for i, sprite in enumerate(sprites):
        ys, xs = np.nonzero(sprite[..., 3])
        lies = np.rot90(tight(sprite), -i)  # the second by 90 degrees clockwise
        height, width = lies.shape[:2]
        sheet[2 : 2 + height, 30 * i : 30 * i + width] = lies
        place = {"x": 30 * i, "y": 2, "width": width, "height": height, "rotated": str(bool(i)).lower()}
        trimmed = {"frameX": -int(xs.min()), "frameY": -int(ys.min()), "frameWidth": 16, "frameHeight": 16}
        parts.append({"name": f"s{i}", **place, **trimmed})
    file = save(sheet, folder / "hero.png")
    (folder / "hero.xml").write_text(atlas(parts))
    for cut, sprite in zip(cut_sheet(file, index=".xml"), sprites, strict=True):
        assert_shows(cut, sprite)


BILLION_LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (atlas([part_at(0, "a")], head=BILLION_LAUGHS), "holds a DOCTYPE, which no atlas needs; take it out"),
        (atlas([part_at(0, "a")], head='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "holds a DOCTYPE"),
        (atlas([part_at(0, "a")])[:-5], "is not XML ("),
        (atlas([part_at(-1, "a")]), "frame 'a': x is -1, not a whole number from 0"),
        (atlas([part_at(0, "a", width="wide")]), "frame 'a': width is wide, not a whole number from 1"),
        (atlas([part_at(0, "a", height="nan")]), "frame 'a': height is nan, not a whole number from 1"),
        (atlas([part_at(0, "a", frameX="3")]), "frame 'a': -frameX is -3, not a whole number from 0"),
        (atlas([part_at(0, "a", frameWidth=8)]), "frame 'a' does not lie within its own size of 8x16 px"),
        (atlas([part_at(90, "a")]), "frame 'a' lies outside the sheet of 48x16 px"),
    ],
)  # fmt: skip
def test_bad_atlases_are_named(text: str, message: str, folder: Path) -> None:
    sheet, _ = strip(folder)
    (folder / "hero.xml").write_text(text)
    assert indexes(folder).files == {"hero.png": folder / "hero.xml"}
    with pytest.raises(DatasetError) as error:
        cut_sheet(sheet, index=".xml")
    assert message in str(error.value)
    assert "hero.xml" in str(error.value)


def test_an_atlas_of_too_many_parts_is_refused_while_it_is_read() -> None:
    with pytest.raises(ValueError, match="65,537 frames are over the limit of 65,536"):
        parse_atlas(f"<TextureAtlas>{'<SubTexture/>' * 65_537}")


def pack(sheets: dict[str, list[str]]) -> str:
    """Phaser's multi-pack: the names of the frames of each sheet, 16 px wide, from the left."""
    textures = [
        {
            "image": image,
            "format": "RGBA8888",
            "size": {"w": 16 * len(names), "h": 16},
            "scale": 1,
            "frames": [{"filename": name, **frame_at(16 * i, 0)} for i, name in enumerate(names)],
        }
        for image, names in sheets.items()
    ]
    return json.dumps({"textures": textures, "meta": {"app": "https://www.codeandweb.com/texturepacker"}})


def test_each_sheet_of_a_multi_pack_has_its_own_frames(folder: Path) -> None:
    (first, sprites), (second, others) = strip(folder, "atlas-0.png"), strip(folder, "atlas-1.png", 2, seed=1)
    save(draw_cutouts(1, 5)[0], folder / "atlas.png")
    (folder / "atlas.json").write_text(pack({"atlas-0.png": ["orc", "elf", "imp"], "./atlas-1.png": ["axe", "bow"]}))
    found = indexes(folder)
    assert found.files == dict.fromkeys(["atlas-0.png", "atlas-1.png"], folder / "atlas.json")
    assert found.findings == []
    for sheet, expected, tags in ((first, sprites, ["orc", "elf", "imp"]), (second, others, ["axe", "bow"])):
        cuts = cut_image(sheet, None, all_frames=False, index=folder / "atlas.json")
        assert [c.tag for c in cuts] == tags
        for cut, sprite in zip(cuts, expected, strict=True):
            assert_shows(cut, sprite)


def test_frames_without_meta_are_read(folder: Path) -> None:
    sheet, _ = strip(folder)
    sheet.with_suffix(".json").write_text(json.dumps({"frames": {"orc": frame_at(0, 0), "elf": frame_at(16, 0)}}))
    assert indexes(folder).files == {"hero.png": folder / "hero.json"}
    assert [c.tag for c in cut_sheet(sheet)] == ["orc", "elf"]


def test_a_data_file_of_another_name_is_found_by_the_sheet_it_names(folder: Path) -> None:
    strip(folder, "sheets/hero.png")
    strip(folder, "orc.png")
    frames = [{"filename": "a", **frame_at(0, 0)}]
    for name, image in (("data/export.json", "..\\sheets\\hero.png"), ("units.xml", "orc.png")):
        (folder / name).parent.mkdir(exist_ok=True)
        text = atlas([part_at(0, "a")], image) if name.endswith("xml") else {"frames": frames, "meta": {"image": image}}
        (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))
    assert indexes(folder).files == {
        "orc.png": folder / "units.xml",
        "sheets/hero.png": folder / "data" / "export.json",
    }


def test_a_data_file_of_a_sheets_own_name_is_no_other_sheets(folder: Path) -> None:
    """It was renamed with its sheet, and names what the sheet was called before."""
    sheet, _ = strip(folder, "new.png")
    strip(folder, "old.png")
    write_json(sheet, [{"filename": "a", **frame_at(0, 0)}], image="old.png")
    assert indexes(folder).files == {"new.png": folder / "new.json"}


def test_of_two_data_files_one_is_taken_and_said(folder: Path) -> None:
    sheet, _ = strip(folder)
    (folder / "hero.xml").write_text(atlas([part_at(0, "a")]))
    write_json(sheet, [{"filename": "a", **frame_at(0, 0)}])
    found = indexes(folder)
    assert found.files == {"hero.png": folder / "hero.json"}
    assert [(f.file, f.message) for f in found.findings] == [("hero.png", "hero.xml is not read beside hero.json")]


def test_two_data_files_of_other_names_are_an_error(folder: Path) -> None:
    strip(folder)
    for name in ("a.xml", "b.xml"):
        (folder / name).write_text(atlas([part_at(0, "a")]))
    found = indexes(folder)
    (error,) = found.findings
    assert (found.files, error.severity, error.file) == ({}, Severity.error, "hero.png")
    assert error.message == "a.xml and b.xml describe it; keep one"


def test_tags_left_off_are_said(folder: Path) -> None:
    sheet, _ = strip(folder)
    frames = [{"filename": f"hero {i}.aseprite", **frame_at(16 * i, 0)} for i in range(3)]
    write_json(sheet, frames, [tag("idle", 0, 2), tag("run", 3, 5)])
    (warning,) = indexes(folder).findings
    assert (warning.file, warning.severity, warning.kind) == ("hero.png", Severity.warning, "tags")
    assert "hero.json: tags are left off: they go up to frame 5" in warning.message
    assert [c.tag for c in cut_sheet(sheet)] == ["0", "1", "2"]


UNREAD = {
    "hero.plist": "<plist><dict><key>frames</key></dict></plist>",
    "hero.atlas": "hero.png\nsize: 48,16\nbody\n  xy: 0, 0\n",
    "map/tiles.tsx": '<tileset tilewidth="16"><image source="../hero.png" width="48"/></tileset>',
    "hero.png.meta": "spriteSheet:\n    sprites:\n    - serializedVersion: 2\n      name: a\n",
    "hero.json": '{"sprites": [{"n": "a", "x": 0, "y": 0, "w": 16, "h": 16}]}',
    "other.json": '[{"file": "hero.png", "rect": {"x": 0, "y": 0, "width": 16, "height": 16}}]',
    "hero.xml": '<TextureAtlas imagePath="hero.png"><sprite n="a" x="0" y="0" w="16" h="16"/></TextureAtlas>',
    "all.xml": '<sprites image="hero.png"><spr name="a" x="0" y="0" w="16" h="16"/></sprites>',
}


@pytest.mark.parametrize("name", UNREAD)
def test_data_files_of_other_kinds_are_named(name: str, folder: Path) -> None:
    strip(folder)
    strip(folder, "other/orc.png")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(UNREAD[name])
    found = indexes(folder)
    assert found.files == {}
    (warning,) = found.findings
    assert (warning.file, warning.severity, warning.kind) == ("hero.png", Severity.warning, "unread_index")
    assert f"{name} seems to describe its parts and is not read; export JSON (array or hash)" in warning.message
    assert "name the cells, such as sheet=32x32" in warning.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "units.xml",
            atlas([part_at(0, "a")], head=BILLION_LAUGHS),
            "units.xml: holds a DOCTYPE, which no atlas needs",
        ),
        (
            "units.json",
            '{"frames": {"a": {"frame": 7}}, "meta": {"image": "hero.png"}}',
            "units.json: frame 'a': frame",
        ),
        ("units.json", '{"meta": {"image": "hero.png"}', "units.json: Expecting ',' delimiter"),
    ],
)
def test_a_broken_data_file_of_another_name_is_named(name: str, text: str, message: str, folder: Path) -> None:
    strip(folder)
    strip(folder, "orc.png")
    (folder / name).write_text(text)
    found = indexes(folder)
    (warning,) = found.findings
    assert (found.files, warning.file, warning.kind) == ({}, "hero.png", "unread_index")
    assert message in warning.message
    assert "export JSON (array or hash)" in warning.message


def test_data_that_places_nothing_is_not_named(folder: Path) -> None:
    strip(folder)
    contents = {
        "hero.json": '{"title": "hero.png", "frames": 6}',
        "hero.png.meta": "guid: 1\nspriteSheet:\n    sprites: []\n",
        "hero.xml": "<licence>hero.png</licence>",
        "deep.json": "[" * 100_000,
    }
    for name, text in contents.items():
        (folder / name).write_text(text)
    found = indexes(folder)
    assert (found.files, found.findings) == ({}, [])


def test_rectangles_are_known_whatever_they_are_called(folder: Path) -> None:
    strip(folder)
    (folder / "hero.json").write_text(json.dumps({"a": [{"b": rect(0, 0, 4, 4)}]}))
    assert [f.kind for f in indexes(folder).findings] == ["unread_index"]


def test_data_outside_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    strip(folder)
    for name in ("hero.json", "hero.xml"):
        (tmp_path / name).write_text('{"frames": [], "meta": {}}')
        (folder / name).symlink_to(tmp_path / name)
    problems = {p.file: p.message for p in walk_folder(folder).problems}
    assert set(problems) == {"hero.json", "hero.xml"}
    assert all("a link that leads out of the folder" in message for message in problems.values())


@pytest.mark.skipif(not ANIMATIONS.is_dir(), reason="needs the shared animations")
def test_the_shared_animations_keep_all_their_tags() -> None:
    found = indexes(ANIMATIONS)
    assert (len(found.files), found.findings) == (23, [])
    for image, index in found.files.items():
        data = json.loads(index.read_text())
        expected = [f"{t['name'].replace(' ', '-')}_{i}" for t in data["meta"]["frameTags"]
                    for i in range(t["to"] - t["from"] + 1)]  # fmt: skip
        cuts = cut_image(ANIMATIONS / image, None, all_frames=False, index=index)
        assert [c.tag for c in cuts] == expected
