"""What stands beside an image is found in every form, and what is hostile is named before it is read."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import DatasetError
from spritelora.sprites.findings import Severity
from spritelora.sprites.folder.groups import group_names
from spritelora.sprites.folder.sources import find_sources, survey_folder
from spritelora.sprites.folder.sprite_folder import data_hash, read_folder
from spritelora.sprites.pixels.image import read_sprite
from tests.conftest import draw_sprite
from tests.sprites.ase import made_files as made
from tests.sprites.ase.made_files import File


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    made.mkdir()
    return made


def add(folder: Path, name: str, caption: str | None = None, seed: int = 0) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_sprite(seed)).save(file)
    if caption is not None:
        file.with_suffix(".txt").write_text(caption)
    return file


def findings(folder: Path, kind: str) -> dict[str, tuple[Severity, str]]:
    return {p.file: (p.severity, p.message) for p in survey_folder(folder).problems if p.kind == kind}


def errors(folder: Path) -> dict[str, str]:
    return {p.file: p.message for p in survey_folder(folder).errors}


def test_captions_come_from_every_form_of_side_car(folder: Path) -> None:
    add(folder, "a.png", " red \n potion ")
    add(folder, "b.png").with_suffix(".caption").write_text("blue potion")
    add(folder, "sub/c.png")
    (folder / "metadata.jsonl").write_text('{"file_name": "sub/c.png", "text": "green potion", "size": 3}\n\n')
    add(folder, "table/d.png")
    (folder / "table" / "metadata.csv").write_text('file_name,text\nd.png,"gold, a key"\n')
    add(folder, "e.png")
    captions = {s.name: s.caption for s in find_sources(folder)}
    assert captions == {
        "a.png": "red potion",
        "b.png": "blue potion",
        "e.png": None,
        "sub/c.png": "green potion",
        "table/d.png": "gold, a key",
    }
    assert survey_folder(folder).problems == []


def test_captions_that_differ_are_named_and_the_txt_is_taken(folder: Path) -> None:
    add(folder, "a.png", "red potion").with_suffix(".caption").write_text("red potion\n")
    (folder / "metadata.jsonl").write_text('{"file_name": "./a.png", "text": "blue potion"}')
    message = "a.txt is taken, and metadata.jsonl says otherwise: keep one caption"
    assert findings(folder, "caption") == {"a.png": (Severity.warning, message)}
    assert find_sources(folder)[0].caption == "red potion"


def test_kohya_folders_repeat_and_name_a_class_but_give_no_caption(folder: Path) -> None:
    for name in ("10_red knight/a.png", "3_orc/b.png", "3_orc/deep/c.png", "01_first/d.png", "16bit/e.png", "2_/f.png"):
        add(folder, name)
    assert [(s.name, s.repeats, s.class_words, s.caption) for s in find_sources(folder)] == [
        ("01_first/d.png", 1, "", None),
        ("10_red knight/a.png", 10, "red knight", None),
        ("16bit/e.png", 1, "", None),
        ("2_/f.png", 1, "", None),
        ("3_orc/b.png", 3, "orc", None),
        ("3_orc/deep/c.png", 3, "orc", None),
    ]


@pytest.mark.parametrize("name", ["0_unused", "2020_sprites", "99999999999999999999_x"])
def test_repeats_that_cannot_be_meant_are_refused(name: str, folder: Path) -> None:
    add(folder, f"{name}/a.png", "pixel art, key")
    add(folder, "b.png", "pixel art, key")
    assert "repeats, 1 to 1,000 can be had; rename the folder" in errors(folder)[f"{name}/a.png"]
    assert [s.name for s in survey_folder(folder).sources] == ["b.png"]


def test_bad_tables_are_named_by_line(folder: Path) -> None:
    add(folder, "a.png")
    add(folder, "b.png")
    lines = [
        '{"file_name": "a.png", "text": "red potion"}',
        '{"file_name": "a.png", ',
        "[1, 2]",
        '{"file_name": "/etc/passwd", "text": "x"}',
        '{"file_name": "../set/a.png", "text": "x"}',
        '{"file_name": "gone.png", "text": "x"}',
        '{"file_name": "b.png", "caption": "x"}',
        '{"text": "x"}',
        '{"file_name": "a.png", "text": "blue potion"}',
        '{"file_name": "b.png", "text": "nul \\u0000"}',
        "[" * 100_000,
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    messages = [p.message for p in survey_folder(folder).errors]
    for message, part in zip(
        messages,
        [
            "line 2 is not one JSON object (",
            "line 3 is not one JSON object (it is a list); repair or remove it",
            "line 11 is not one JSON object (",
            "line 4 names /etc/passwd; an image is named by its path below the table's folder, without ..",
            "line 5 names ../set/a.png; an image is named by",
            "line 6 names gone.png, and there is no such image; correct or remove the line",
            "line 7 has no \"text\" (only 'caption', 'file_name'); name the caption so",
            'line 8 has no "file_name"; name the image file',
            "line 9 gives a.png a second caption; keep one",
            "line 10 holds the control character U+0000",
        ],
        strict=True,
    ):
        assert part in message
    with pytest.raises(DatasetError, match="10 problems found"):
        find_sources(folder)


def test_a_table_that_is_no_csv_is_named(folder: Path) -> None:
    add(folder, "a.png")
    (folder / "metadata.csv").write_text("file_name,text\na.png," + "x" * 200_000)
    assert "is not CSV (field larger than field limit" in errors(folder)["metadata.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rote Tränke".encode("latin-1"), "a.txt: cannot be read as UTF-8 text (invalid continuation byte at byte 7)"),
        ("red potion".encode("utf-16"), "a.txt: cannot be read as UTF-8 text (invalid start byte at byte 0)"),
        (b"red\0potion", "a.txt: holds the control character U+0000; write it anew as plain text"),
        (b"red \x1b[31mpotion", "a.txt: holds the control character U+001B"),
        (b"x" * 70_000, "a.txt: is over 65,536 bytes"),
    ],
    ids=["latin-1", "utf-16", "nul", "escape", "huge"],
)
def test_captions_that_are_no_text_keep_their_image_out(content: bytes, message: str, folder: Path) -> None:
    add(folder, "a.png").with_suffix(".txt").write_bytes(content)
    add(folder, "b.png", "pixel art, key")
    assert message in errors(folder)["a.png"]
    assert [s.name for s in survey_folder(folder).sources] == ["b.png"]


def test_links_that_lead_out_are_refused_and_not_read(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    add(secret, "key.png", "a secret")
    (folder / "a.png").symlink_to(secret / "key.png")
    add(folder, "b.png")
    (folder / "b.txt").symlink_to(secret / "key.txt")
    (folder / "out").symlink_to(secret)
    (folder / "up").symlink_to("..")
    (folder / "notes.md").symlink_to("/etc/hostname")  # nobody would read it
    message = "a link that leads out of the folder; copy what it shows into the folder"
    assert errors(folder) == dict.fromkeys(["a.png", "b.txt", "out", "up"], message)
    assert [(s.name, s.caption) for s in survey_folder(folder).sources] == [("b.png", None)]
    with pytest.raises(DatasetError, match="4 problems found"):
        find_sources(folder)


def test_links_within_the_folder_and_loops(folder: Path, tmp_path: Path) -> None:
    add(folder, "sub/a.png", "pixel art, key")
    (folder / "b.png").symlink_to("sub/a.png")
    (folder / "sub" / "again").symlink_to("..")
    (folder / "self.png").symlink_to("self.png")
    (folder / "gone.txt").symlink_to("nowhere.txt")
    assert errors(folder) == {
        "gone.txt": "cannot be read (a link to nothing); replace or remove it",
        "self.png": "a link that leads to itself; remove it",
    }
    severity, message = findings(folder, "link")["sub/again"]
    assert (severity, "is not followed" in message) == (Severity.warning, True)
    assert [s.name for s in survey_folder(folder).sources] == ["b.png", "sub/a.png"]
    (tmp_path / "alias").symlink_to(folder)
    assert len(survey_folder(tmp_path / "alias").sources) == 2


def test_what_systems_leave_behind_is_passed_over_in_one_line(folder: Path) -> None:
    litter = ("@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/._a.png", "._a.png", ".DS_Store", "Thumbs.db",
              "sub/desktop.ini", "$RECYCLE.BIN/x.png")  # fmt: skip
    for name in litter:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0")
    (folder / ".git").mkdir()
    add(folder, "a.png", "pixel art, key")
    (note,) = survey_folder(folder).problems
    assert (note.severity, note.file) == (Severity.note, "")
    assert (
        note.message == "$RECYCLE.BIN, .DS_Store, ._a.png and 4 more passed over: what operating systems leave behind"
    )
    assert [s.name for s in survey_folder(folder).sources] == ["a.png"]


def test_folders_named_like_images_are_passed_over_in_one_line(folder: Path) -> None:
    for name in ("hero.png", "orc.GIF"):
        add(folder, f"{name}/c.png")
    with pytest.raises(
        DatasetError, match=r"no images found.*\n  hero\.png, orc\.GIF passed over: a folder with the name"
    ):
        find_sources(folder)
    add(folder, "a.png", "pixel art, key")
    (warning,) = survey_folder(folder).problems
    assert (warning.kind, warning.severity) == ("folder", Severity.warning)
    assert "rename it if its images belong to the set" in warning.message
    assert [s.name for s in survey_folder(folder).sources] == ["a.png"]


def test_pipes_named_as_files_are_named(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "b.txt")
    add(folder, "b.png")
    (folder / "null.png").symlink_to("pipe.png")
    assert errors(folder) == {
        "b.txt": "a pipe, not a file; remove it",
        "null.png": "a link to what is no file; remove it",
        "pipe.png": "a pipe, not a file; remove it",
    }


def test_two_images_of_one_stem_are_both_named(folder: Path) -> None:
    add(folder, "a.png", "pixel art, key")
    add(folder, "a.gif")
    add(folder, "sub/a.png")
    message = "2 images of this name would share one caption (a.gif, a.png); rename all but one"
    assert errors(folder) == {"a.gif": message, "a.png": message}


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_unreadable_files_are_named(public_folder: Path) -> None:
    add(public_folder, "a.png", "pixel art, key").with_suffix(".txt").chmod(0)
    add(public_folder, "b.png", "pixel art, key").chmod(0)
    add(public_folder, "locked/c.png")
    (public_folder / "locked").chmod(0)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        found = errors(public_folder)
        with pytest.raises(DatasetError, match=r"b\.png: corrupt or not an image \(.*Permission denied"):
            read_sprite(public_folder / "b.png")
    finally:
        if is_root:
            os.seteuid(0)
        (public_folder / "locked").chmod(0o755)
    assert found == {
        "a.png": "a.txt: cannot be read (Permission denied); check its permissions",
        "locked": "the folder cannot be read (Permission denied)",
    }


def test_odd_names_work_and_are_printed_escaped(folder: Path) -> None:
    for name in ("née 龍 🗝.png", "two\nlines.png", "tab\tand \x1b[31mred.png", "quote'\".png"):
        add(folder, name, f"pixel art, {len(name)}")
    sprites = read_folder(folder, 128)
    assert {s.name for s in sprites} == {p.name for p in folder.glob("*.png")}
    assert len(data_hash(sprites)) == 64
    for file in folder.glob("*.txt"):
        if not file.name.startswith("quote"):  # more than three would be told in one line
            file.unlink()
    with pytest.raises(DatasetError) as error:
        read_folder(folder, 128)
    message = str(error.value)
    assert "two\\nlines.txt: missing; write one line that says what two\\nlines.png shows" in message
    assert "née 龍 🗝.txt: missing" in message
    assert "\x1b" not in message


def test_a_name_that_is_not_utf_8_is_named(folder: Path) -> None:
    (folder / "bad\udcff.png").write_bytes(add(folder, "a.png").read_bytes())
    with pytest.raises(DatasetError, match=r"bad\\udcff\.png: the name is not UTF-8; rename it"):
        find_sources(folder)


def test_a_file_of_another_format_than_its_name_says_is_named(folder: Path) -> None:
    Image.fromarray(draw_sprite(0)[..., :3]).save(folder / "a.png", format="JPEG")
    Image.fromarray(draw_sprite(0)).save(folder / "b.jpg", format="PNG")
    add(folder, "c.png")
    found = findings(folder, "disguised")
    assert found == {
        "a.png": (Severity.warning, "is a JPEG file by its content and is read as one; JPEG artefacts may be in it"),
        "b.jpg": (Severity.warning, "is a PNG file by its content and is read as one; name it so"),
    }


def test_pictures_of_other_programs_are_counted(folder: Path) -> None:
    add(folder, "a.png")
    for name in ("a.kra", "b.kra", "c.PSD", "notes.md"):
        (folder / name).touch()
    assert findings(folder, "unread") == {"": (Severity.warning, "2 .kra, 1 .psd not read; export as PNG")}


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such folder; name a folder of images"):
        survey_folder(tmp_path / "nowhere")


def test_frames_and_poses_of_one_character_are_a_group() -> None:
    groups = {
        "knight_walk_01.png": "knight",
        "knight_walk_02.png": "knight",
        "knight-idle-left (3).png": "knight",
        "hero_r0c3.png": "hero",
        "hero_r10c4.png": "hero",
        "orc/walk1.png": "orc",
        "orc/idle_left_2.png": "orc",
        "items/red potion.png": "items/red_potion",
        "items/red potion 2.png": "items/red_potion",
        "items/001.png": "items/001",
        "items/002.png": "items/002",
        "sprite_07.png": "sprite_07",
        "16bit knight.png": "16bit_knight",
    }
    assert dict(zip(groups, group_names(list(groups)), strict=True)) == groups


def test_a_set_of_one_group_is_a_group_for_each_image() -> None:
    assert group_names(["orc_1.png", "orc_2.png"]) == ["orc_1", "orc_2"]


def test_prepared_sprites_are_grouped_by_what_they_were_cut_from(folder: Path, tmp_path: Path) -> None:
    for name in ("art/hero.png", "art/fx.png"):
        add(folder, name)
        Image.fromarray(draw_sprite(0).repeat(2, 0).repeat(2, 1)).save(folder / name)
    prepare(PrepareConfig(str(folder), str(tmp_path / "out"), resolution=128, sheet="16x16", workers=1))
    add(tmp_path / "out", "key.png")
    groups = {s.name: s.group for s in find_sources(tmp_path / "out")}
    assert groups == {
        **{f"art_{name}_r{i // 2}c{i % 2}.png": f"art/{name}" for name in ("fx", "hero") for i in range(4)},
        "key.png": "key",
    }


def test_a_folder_to_train_on_carries_repeats_and_groups(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(folder, "4_knight/knight_1.png", "pixel art, knight", seed=1)
    add(folder, "2_orc/orc_1.png", "pixel art, orc", seed=2)
    Image.fromarray(draw_sprite(0)).save(folder / "2_orc" / "orc_2.jpg", format="PNG")
    (folder / "2_orc" / "orc_2.caption").write_text("pixel art, orc")
    sprites = read_folder(folder, 128)
    assert [(s.name, s.repeats, s.group) for s in sprites] == [
        ("2_orc/orc_1.png", 2, "2_orc/orc"),
        ("2_orc/orc_2.jpg", 2, "2_orc/orc"),
        ("4_knight/knight_1.png", 4, "4_knight/knight"),
    ]
    assert "set: 2_orc/orc_2.jpg: is a PNG file by its content" in caplog.text


def test_an_aseprite_file_is_an_image_unless_its_export_lies_beside_it(folder: Path) -> None:
    for name in ("hero.aseprite", "orc.ase", "deep/imp.aseprite"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(File((16, 16), [[made.layer(), made.cel(0, draw_sprite(1))]]).encode())
    add(folder, "hero.png")
    add(folder, "imp.png")
    assert [source.name for source in find_sources(folder)] == ["deep/imp.aseprite", "hero.png", "imp.png", "orc.ase"]
    message = "passed over: hero.png beside it is read; remove that to read this"
    assert findings(folder, "exported") == {"hero.aseprite": (Severity.note, message)}


def test_two_aseprite_files_of_one_name_are_refused(folder: Path) -> None:
    for name in ("hero.aseprite", "hero.ase"):
        (folder / name).write_bytes(File((16, 16), [[made.layer(), made.cel(0, draw_sprite(1))]]).encode())
    with pytest.raises(
        DatasetError, match=r"2 images of this name would share one caption \(hero\.ase, hero\.aseprite\)"
    ):
        find_sources(folder)
