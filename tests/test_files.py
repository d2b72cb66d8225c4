"""A file is the old one or the new one, and a place is one place however its path is written."""

from pathlib import Path

import pytest

from spritelora.files import is_hub_id, is_same, is_within, write_whole


def test_text_and_bytes_replace_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    for content in ("süß\n", b"\x00\xff"):
        write_whole(file, content)
        assert file.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "kept").write_text("x")
    with pytest.raises(OSError, match="folder"):
        write_whole(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (target / "kept").read_text() == "x"


def test_one_place_has_many_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "art" / "knights").mkdir(parents=True)
    (tmp_path / "other_name").symlink_to(tmp_path / "art")
    (tmp_path / "knight.png").write_bytes(b"")
    (tmp_path / "Knight.png").hardlink_to(tmp_path / "knight.png")  # as one file where case does not count
    monkeypatch.chdir(tmp_path / "art")
    assert is_same(Path(), tmp_path / "other_name")
    assert is_same(Path("../knight.png"), tmp_path / "Knight.png")
    assert is_same(tmp_path / "other_name" / "new", tmp_path / "art" / "knights" / ".." / "new"), "not there yet"
    assert not is_same(tmp_path / "art", tmp_path / "new")


def test_what_lies_in_a_folder_lies_in_it_by_every_path(tmp_path: Path) -> None:
    (tmp_path / "art" / "knights").mkdir(parents=True)
    (tmp_path / "other_name").symlink_to(tmp_path / "art")
    for inner in ("art", "other_name/knights", "art/new/newer", "other_name/new"):
        assert is_within(tmp_path / inner, tmp_path / "art")
    for outside in ("", "art2", "art/../new"):
        assert not is_within(tmp_path / outside, tmp_path / "art")


@pytest.mark.parametrize(
    ("text", "is_hub"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", True), ("./models/mine", False), ("../mine", False),
        ("~/mine", False), ("/mine", False), ("models", False), ("a/b/c", False), ("C:/mine", False),
        (r"C:\models\mine", False), (r"models\mine", False),
    ],
)  # fmt: skip
def test_a_hub_id_is_no_path_of_any_system(text: str, is_hub: bool) -> None:
    assert is_hub_id(text) == is_hub
