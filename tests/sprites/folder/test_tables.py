"""Captions of authors are found however their tables and text files are written, or the file is named as unread."""

import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from spritelora.captioning.write import choose_wanted
from spritelora.commands.caption.caption import reasons_left
from spritelora.errors import DatasetError
from spritelora.sprites.findings import Severity
from spritelora.sprites.folder.caption_files import read_set, side_car, write_caption
from spritelora.sprites.folder.sources import find_sources, survey_folder
from spritelora.sprites.folder.sprite_folder import read_folder
from tests.conftest import draw_sprite

COMPOSED, APART = (unicodedata.normalize(form, "épée") for form in ("NFC", "NFD"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    made.mkdir()
    return made


def add(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_sprite(number)).save(folder / name)


def captions(folder: Path) -> dict[str, str | None]:
    found = survey_folder(folder)
    assert found.problems == []
    return {s.name: s.caption for s in found.sources}


def errors(folder: Path) -> list[str]:
    return [p.message for p in survey_folder(folder).errors]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_is_read_by_its_own_delimiter_and_line_ends(delimiter: str, start: str, end: str, folder: Path) -> None:
    add(folder, "a.png", "b.png", "c.png")
    rows = [
        ("file_name", "size", " text "),
        ("a.png", "3", '"red, green; blue\tand |"'),
        (),
        ("b.png", "", f'"two{end}lines of ""fire"""'),
        ("c.png", "7", "line\u2028separator"),
    ]
    content = start + end.join(delimiter.join(row) for row in rows)
    (folder / "metadata.csv").write_bytes(content.encode())
    assert captions(folder) == {
        "a.png": "red, green; blue and |",
        "b.png": 'two lines of "fire"',
        "c.png": "line separator",
    }


def test_a_csv_says_its_delimiter_as_excel_does(folder: Path) -> None:
    add(folder, "a.png")
    (folder / "metadata.csv").write_text("sep=;\r\nfile_name;text, of an artist;text\r\na.png;;red potion\r\n")
    assert captions(folder) == {"a.png": "red potion"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('a.png,"red\nb.png,"blue potion"\n', "is not CSV (',' expected after '\"' in the row from line 2 on)"),
        ('a.png,red\nb.png,"blue\n', "is not CSV (unexpected end of data in the row from line 3 on); repair"),
        ('a.png,"red\nb.png,blue potion"\n', "line 2 has a quote that is not closed before the row of b.png; close it"),
        ('b.png,blue\na.png,"red\n\nb.png,"\n', "line 3 has a quote that is not closed before the row of b.png"),
        ("a.png,red, with a cork\n", "line 2 has 3 values, and the first line names 2; put a text with ',' in it into"),
        ('a.png,"red\ngreen"\nb.png\n', "line 4 has no \"text\" (only 'file_name'); name the caption so"),
        ('a.png,"red\ngreen"\ngone.png,x\n', "line 4 names gone.png, and there is no such image; correct"),
        ("A.PNG,red\n", "line 2 names A.PNG, and there is no such image (there is a.png); correct"),
        ("..\\a.png,red\n", "line 2 names ..\\a.png; an image is named by its path below the table's folder"),
        ("C:\\art\\a.png,red\n", "line 2 names C:\\art\\a.png; an image is named by its path below"),
    ],
)
def test_rows_that_would_lose_a_caption_are_errors(rows: str, message: str, folder: Path) -> None:
    add(folder, "a.png", "b.png")
    (folder / "metadata.csv").write_text("file_name,text\n" + rows)
    (found,) = errors(folder)
    assert message in found


@pytest.mark.parametrize("name", ["metadata.jsonl", "METADATA.JSONL", "Metadata.Csv"])
def test_a_table_is_known_in_upper_case(name: str, folder: Path) -> None:
    add(folder, "a.png")
    rows = {"jsonl": '{"file_name": "a.png", "text": "red potion"}', "csv": "file_name,text\na.png,red potion"}
    (folder / name).write_text(rows[name.lower().rpartition(".")[2]])
    assert captions(folder) == {"a.png": "red potion"}


def test_json_lines_hold_any_separator_of_unicode(folder: Path) -> None:
    add(folder, "a.png", "sub/b.png")
    lines = [
        '{"file_name": "a.png", "text": "red\u2028potion\u0085and\u2029more"}',
        json.dumps({"file_name": "sub\\b.png", "text": "blue"}),
    ]
    (folder / "metadata.jsonl").write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    assert captions(folder) == {"a.png": "red potion and more", "sub/b.png": "blue"}


@pytest.mark.parametrize(("image", "told"), [(COMPOSED, APART), (APART, COMPOSED)])
def test_names_are_the_same_in_either_form_of_unicode(image: str, told: str, folder: Path) -> None:
    add(folder, f"{image}.png", f"{image} 2.png")
    (folder / "metadata.csv").write_text(f"file_name,text\n./{told}.png,a sword\n")
    (folder / f"{told} 2.txt").write_text("a second sword")
    assert captions(folder) == {f"{image}.png": "a sword", f"{image} 2.png": "a second sword"}


@pytest.mark.parametrize("text", ["axe.txt", "axe.TXT", "axe.Caption", "Axe.txt", "axe.png.txt", "axe.PNG.caption"])
def test_a_caption_file_is_known_by_any_of_its_names(text: str, folder: Path) -> None:
    add(folder, "axe.png", "axe 2.png")
    (folder / text).write_text("a red axe")
    (folder / "axe 2.txt").write_text("two axes")
    assert captions(folder) == {"axe 2.png": "two axes", "axe.png": "a red axe"}
    source = next(s for s in find_sources(folder) if s.name == "axe.png")
    assert side_car(source) == (None if text.lower().endswith(".caption") else folder / text)


def test_the_file_of_an_images_own_name_counts_before_one_that_is_alike(folder: Path) -> None:
    add(folder, "Axe.png", "axe.png", "axe.png.png")
    for name in ("axe.txt", "Axe.TXT", "axe.png.txt"):
        (folder / name).write_text(f"by {name}")
    assert captions(folder) == {"Axe.png": "by Axe.TXT", "axe.png": "by axe.txt", "axe.png.png": "by axe.png.txt"}
    (folder / "axe.TXT").write_text("of another")
    (warning,) = survey_folder(folder).problems
    assert "axe.txt is taken, and axe.TXT says otherwise" in warning.message


def test_a_text_that_does_not_count_is_not_edited(folder: Path) -> None:
    add(folder, "axe.png")
    (folder / "axe.caption").write_text("a red axe")
    (folder / "axe.png.txt").write_text("a red axe")
    (source,) = find_sources(folder)
    assert (source.caption, side_car(source)) == ("a red axe", None)


def test_a_caption_that_was_read_from_an_odd_name_is_edited_there(folder: Path) -> None:
    add(folder, "axe.png")
    (folder / "axe.TXT").write_text("a red axe")
    (source,) = find_sources(folder)
    file = side_car(source)
    assert file is not None
    write_caption(file, "a blue axe")
    assert sorted(p.name for p in folder.iterdir()) == ["axe.TXT", "axe.png"]
    assert captions(folder) == {"axe.png": "a blue axe"}


UNREAD = {
    "credits.csv": "file,caption\na.png,red potion\n",
    "changeling.txt": "a.png is a changeling\n",
    "captions.csv": "file,caption\na.png,red potion\n",
    "metadata.tsv": "file_name\ttext\na.png\tred potion\n",
    "captions.txt": "1. A.PNG: a red potion\nb.png.bak: nothing\n",
    "prompts.jsonl": '{"image": "art/a.png", "prompt": "red potion"}\n',
    "meta_cap.json": '{"/art/a": {"caption": "red potion"}}',
    "labels.json": '[{"filename": "a.png", "text": "red potion"}]',
    "a.png.json": '{"tags": "potion, red"}',
    "notes.yaml": "a.png: red potion\n",
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_file_that_names_images_without_a_caption_is_named(name: str, folder: Path) -> None:
    add(folder, "a.png", "b.png")
    (folder / name).write_text(UNREAD[name])
    found = survey_folder(folder)
    (warning,) = found.problems
    assert (warning.file, warning.severity, warning.kind) == (name, Severity.warning, "unread_captions")
    if name == "a.png.json":  # a caption of the file's own name
        assert "1 image without a caption and is not read; write captions into metadata.csv" in warning.message
    assert {s.name: s.unread for s in found.sources} == {"a.png": name, "b.png": ""}
    with pytest.raises(DatasetError, match=rf"a\.txt: missing \({name} names it and is not read\); write one line"):
        read_folder(folder, 128)


def test_a_table_that_cannot_be_looked_into_names_all_images_beside_it(folder: Path) -> None:
    add(folder, "sub/a.png", "sub/deep/b.png", "c.png")
    (folder / "sub" / "metadata.parquet").write_bytes(b"PAR1")
    found = survey_folder(folder)
    assert {s.name for s in found.sources if s.unread} == {"sub/a.png", "sub/deep/b.png"}


def test_files_that_are_no_captions_are_not_named(folder: Path) -> None:
    add(folder, "a.png")
    (folder / "License.txt").write_text("a.png is CC0")
    (folder / "Read me.txt").write_text("a.png by me")
    (folder / "a.json").write_text('{"frames": [{"filename": "a.png"}], "meta": {"image": "a.png"}}')
    (folder / "broken.json").write_text("{")
    assert captions(folder) == {"a.png": None}


def test_text_files_of_no_image_are_named_in_one_line(folder: Path) -> None:
    add(folder, "a.png")
    for name in ("b.txt", "c.caption", "d.txt", "e.txt"):
        (folder / name).write_text("a potion")
    (warning,) = survey_folder(folder).problems
    assert (warning.kind, warning.file) == ("unread_text", "")
    assert (
        "b.txt, c.caption, d.txt and 1 more not read: no image of that name; a caption is NAME.txt" in warning.message
    )


def test_a_caption_that_may_be_of_either_image_is_named(folder: Path) -> None:
    add(folder, "Axe.png", "axe.png")
    (folder / "AXE.txt").write_text("a red axe")
    found = survey_folder(folder)
    assert [p.file for p in found.problems] == ["AXE.txt"]
    assert {s.unread for s in found.sources} == {"AXE.txt"}


def test_no_model_writes_over_an_authors_caption_unless_told_to(folder: Path) -> None:
    add(folder, "a.png", "b.png", "c.png", "d.png")
    (folder / "captions.csv").write_text(UNREAD["captions.csv"])
    (folder / "c.txt").write_text("a bow")
    (folder / "d.caption").write_text("a key")
    sources = read_set(folder)
    assert [w.source.name for w in choose_wanted(sources, overwrite=False)] == ["b.png"]
    assert [w.source.name for w in choose_wanted(sources, overwrite=True)] == ["a.png", "b.png", "c.png"]
    unread, fixed, captioned = reasons_left(sources, {"b.png"}, overwrite=False)
    assert "1 of 4 sprites have a caption in captions.csv, it seems, which is not read; bring it to" in unread
    assert "1 of 4 sprites have a caption in a file that is never changed" in fixed
    assert "1 of 4 sprites have a caption; overwrite=true" in captioned
    (line,) = reasons_left(sources, {"a.png", "b.png", "c.png"}, overwrite=True)
    assert "never changed" in line
