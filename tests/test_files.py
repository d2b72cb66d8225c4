"""A file is the old one or the new one."""

from pathlib import Path

import pytest

from spritelora.files import write_whole


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
