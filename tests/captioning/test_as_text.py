"""All captions as one text: written, read back, and refused whole where a line is wrong."""

import sys
from pathlib import Path

import pytest

from spritelora.captioning.as_text import edit_text, find_editor, read_text, write_text
from spritelora.errors import ConfigError, DatasetError

CAPTIONS: dict[str, str | None] = {
    "a.png": "pixel art, red key",
    "sub/b c.png": None,
    "# odd.png": "pixel art, number sign",
    "two\nlines\tand\\slash.png": "pixel art, knight",
    "größe.png": "pixel art, \u00e4rmel",
}


def test_written_and_read_back_unchanged() -> None:
    assert read_text(write_text(CAPTIONS), CAPTIONS) == {name: caption or "" for name, caption in CAPTIONS.items()}


def test_notes_and_lines_taken_out_are_no_captions() -> None:
    assert read_text("# a note\n\na.png\t  pixel  art \n", CAPTIONS) == {"a.png": "pixel art"}


def test_every_bad_line_is_named() -> None:
    text = "a.png pixel art\nc.png\tpixel art\na.png\tone\na.png\ttwo\n"
    with pytest.raises(DatasetError) as error:
        read_text(text, CAPTIONS)
    assert str(error.value).splitlines() == [
        "nothing was changed:",
        "  line 1: no tab between name and caption: 'a.png pixel art'",
        "  line 2: no sprite is called 'c.png'",
        "  line 4: 'a.png' a second time",
    ]


def test_the_editor_changes_the_text(tmp_path: Path) -> None:
    script = tmp_path / "editor.py"
    script.write_text(
        "import sys, pathlib\np = pathlib.Path(sys.argv[1])\np.write_bytes(p.read_bytes().upper() + b'\\r\\n')"
    )
    text, file = edit_text([sys.executable, str(script)], "größe\n")
    assert text == "GRößE\n\n"
    file.unlink()


def test_an_editor_that_fails_changes_nothing() -> None:
    with pytest.raises(DatasetError, match=r"ended with status 3: nothing was changed; your text is in (.*)") as error:
        edit_text([sys.executable, "-c", "raise SystemExit(3)"], "mine")
    kept = Path(str(error.value).rpartition(" ")[2])
    assert kept.read_text() == "mine"
    kept.unlink()
    with pytest.raises(ConfigError, match=r"'/no/editor' cannot be started .*set EDITOR"):
        edit_text(["/no/editor"], "")
    with pytest.raises(DatasetError, match="the edited text is gone"):
        edit_text([sys.executable, "-c", "import sys, os; os.unlink(sys.argv[1])"], "")


def test_the_editor_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "code --wait 'a b'")
    assert find_editor() == ["code", "--wait", "a b"]
    monkeypatch.setenv("VISUAL", "vi")
    assert find_editor() == ["vi"]
    monkeypatch.delenv("VISUAL")
    monkeypatch.delenv("EDITOR")
    with pytest.raises(ConfigError, match="neither VISUAL nor EDITOR is set"):
        find_editor()
