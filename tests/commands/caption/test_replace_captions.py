"""Captions changed in bulk from the command line: what is printed, what is written, what stays."""

from pathlib import Path
from typing import Any

import pytest

from spritelora.commands.caption.caption import caption
from spritelora.config.commands.caption import CaptionConfig, CaptionData, CaptionMode
from spritelora.errors import ConfigError, DatasetError
from tests.commands.caption.test_caption import captions_of, run


def replace(folder: Path, **keys: Any) -> None:
    caption(CaptionConfig(data=CaptionData(str(folder)), mode=CaptionMode.replace, **keys))


def test_a_dry_run_shows_what_the_same_line_then_writes(
    sprite_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sprite_folder / "sprite_05.txt").unlink()
    before = captions_of(sprite_folder)
    keys = {"find": r"potion number (\d+)", "put": r"flask of \1", "pattern": True, "add": "16-bit"}
    replace(sprite_folder, **keys, dry_run=True)
    shown = capsys.readouterr().out
    assert captions_of(sprite_folder) == before
    assert shown.startswith(
        "sprite_00.png\n  - pixel art, potion number 0\n  + pixel art, flask of 0, 16-bit\nsprite_01.png\n"
    )
    replace(sprite_folder, **keys)
    assert capsys.readouterr().out == shown
    assert captions_of(sprite_folder) == {stem: f"pixel art, flask of {int(stem[-2:])}, 16-bit\n" for stem in before}


def test_what_cannot_be_changed_is_named_and_the_rest_is_changed(sprite_folder: Path) -> None:
    sealed, table = sprite_folder / "sprite_03.txt", sprite_folder / "metadata.jsonl"
    sealed.chmod(0o444)
    (sprite_folder / "sprite_04.txt").unlink()
    table.write_text('{"file_name": "sprite_04.png", "text": "pixel art, potion of the table"}\n')
    (sprite_folder / "sprite_05.txt").write_text("potion")
    with pytest.raises(DatasetError) as refused:
        replace(sprite_folder, remove="potion", find="potion", put="")
    told = str(refused.value)
    assert "3 problems found" in told
    assert "sprite_03.txt: read-only, and left so; make it writable" in told
    assert "sprite_04.png: its caption comes from a file of another kind" in told
    assert "sprite_05.png: left as it is: nothing would be left of 'potion'" in told
    after = captions_of(sprite_folder)
    assert (after.pop("sprite_03"), after.pop("sprite_05")) == ("pixel art, potion number 3\n", "potion")
    assert set(after.values()) == {f"pixel art, number {i}\n" for i in range(12) if i not in (3, 4, 5)}
    assert "sprite_04" not in after


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "nothing to change: give find= and put="),
        ({"find": "x"}, "find= without put=: give both"),
        ({"put": "x", "add": "y"}, "put= without find=: give both"),
        ({"pattern": True, "add": "y"}, "pattern=true says what find= is: add find="),
        ({"add_first": True, "remove": "y"}, "add_first=true says where add= goes"),
        ({"find": "(", "put": "", "pattern": True}, "no pattern that can be searched"),
    ],
)
def test_half_a_change_is_refused(keys: dict[str, Any], message: str, sprite_folder: Path) -> None:
    before = captions_of(sprite_folder)
    with pytest.raises(ConfigError) as refused:
        replace(sprite_folder, **keys)
    assert message in str(refused.value)
    assert captions_of(sprite_folder) == before


@pytest.mark.parametrize("mode", [CaptionMode.validate, CaptionMode.edit, CaptionMode.caption])
@pytest.mark.parametrize("keys", [{"find": "x", "put": ""}, {"dry_run": True}, {"add": "x"}])
def test_its_keys_are_not_passed_over_by_other_modes(mode: CaptionMode, keys: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{', '.join(keys)} belongs to mode=replace: add it"):
        caption(CaptionConfig(data=CaptionData(str(tmp_path)), mode=mode, **keys))


def test_texts_are_taken_as_they_are_typed(sprite_folder: Path, tmp_path: Path) -> None:
    (sprite_folder / "sprite_00.txt").write_text(r"pixel_art, {a: [1, $x]} \1")
    line = [f"data.path={sprite_folder}", "mode=replace", "find=_", "put= "]
    told = run(tmp_path, *line)
    assert (told.returncode, captions_of(sprite_folder)["sprite_00"]) == (0, "pixel art, {a: [1, $x]} \\1\n")
    assert "1 of 12 captions changed" in told.stderr
    told = run(tmp_path, f"data.path={sprite_folder}", "mode=replace", r"find={a: [1, $x]} \1", "put=")
    assert (told.returncode, captions_of(sprite_folder)["sprite_00"]) == (0, "pixel art\n")
