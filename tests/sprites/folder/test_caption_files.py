"""Caption files are written whole, and what is wrong with a set is named."""

from pathlib import Path

import pytest
from PIL import Image

from spritelora.errors import DatasetError
from spritelora.sprites.folder.caption_files import caption_version, read_caption, read_set, side_car, write_caption
from spritelora.sprites.folder.sources import Source, refuse
from tests.conftest import draw_sprite


def test_a_caption_is_written_on_one_line_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    assert (read_caption(file), caption_version(file)) == (None, "")
    write_caption(file, " pixel art,\n  größe ")
    assert file.read_bytes() == "pixel art, größe\n".encode()
    assert read_caption(file) == "pixel art, größe"
    before = caption_version(file)
    write_caption(file, "pixel art")
    assert caption_version(file) not in ("", before)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    link = tmp_path / "a.txt"
    link.symlink_to(outside)
    write_caption(link, "pixel art")
    assert (outside.read_text(), link.is_symlink()) == ("mine", False)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(DatasetError, match=r"a\.txt: the caption cannot be written .*run again"):
        write_caption(tmp_path / "a.txt", "pixel art")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_of_what_is_no_text_is_read_what_can_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a \xff\x07 gem")
    assert read_caption(tmp_path / "a.txt") == "a \N{REPLACEMENT CHARACTER} gem"
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(DatasetError, match=r"b\.txt: cannot be read .*check its permissions"):
        read_caption(tmp_path / "b.txt")


def test_a_read_only_caption_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("mine")
    file.chmod(0o444)
    with pytest.raises(DatasetError, match=r"a\.txt: read-only, and left so; make it writable"):
        write_caption(file, "yours")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("mine", 0o444)


def test_a_caption_keeps_the_rights_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("mine")
    file.chmod(0o640)
    write_caption(file, "mine too")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("mine too\n", 0o640)


@pytest.mark.parametrize("text", ["a\x07b", "a\x1bb", "a\x9bb", "a\x7fb", "a\ud800b"])
def test_what_would_not_be_read_back_is_not_written(text: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.txt: not written: the caption holds the control character U\+"):
        write_caption(tmp_path / "a.txt", text)
    assert not list(tmp_path.iterdir())


def test_only_captions_of_text_files_are_changed(sprite_folder: Path) -> None:
    image = sprite_folder / "sprite_00.png"
    beside = image.with_suffix(".txt")
    assert side_car(Source(image, image.name, "x", 1, ".")) == beside
    beside.unlink()
    assert side_car(Source(image, image.name, None, 1, ".")) == beside
    assert side_car(Source(image, image.name, "told by metadata.jsonl", 1, ".")) is None


def test_a_set_that_cannot_be_captioned_is_named(sprite_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder; data\.path names a folder of images"):
        read_set(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no images found"):
        read_set(tmp_path / "empty")
    Image.fromarray(draw_sprite(0)).save(sprite_folder / "sprite_00.webp")
    with pytest.raises(DatasetError, match="2 images of this name would share one caption"):
        read_set(sprite_folder)


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(DatasetError, match="30 problems found") as error:
        refuse(Path("set"), [str(i) for i in range(30)])
    assert str(error.value).endswith("... and 20 more")
