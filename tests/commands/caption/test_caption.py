"""The command as it is typed: what it prints, what it writes, how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.captioning import tiny_models
from tests.conftest import ROOT
from tests.running import run_python

NO_TORCH = """
import sys, runpy
sys.argv = {argv!r}
{before}
try:
    runpy.run_path({script!r}, run_name="__main__")
finally:
    assert "torch" not in sys.modules, "torch was imported"
"""
SCRIPT = str(ROOT / "scripts" / "caption.py")


def run(cwd: Path, *arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder of its own, where torch must not be imported."""
    code = NO_TORCH.format(argv=[SCRIPT, *arguments], script=SCRIPT, before=before)
    return run_python("-c", code, cwd=cwd, env={**os.environ, **environment}, ready="door")


def run_with_torch(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(SCRIPT, *arguments, cwd=cwd)


def captions_of(folder: Path) -> dict[str, str]:
    return {file.stem: file.read_text() for file in sorted(folder.glob("*.txt"))}


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["data.pth=x"], "unknown key 'data.pth': did you mean 'data.path'?", 2),
        ([], "'data.path' has no value: add data.path=...", 2),
        (
            ["data.path=x", "mode=captoin"],
            "mode: Invalid value 'captoin', expected one of [caption, validate, edit, ",
            2,
        ),
        (["data.path=x", "batch_size=0"], "batch_size must be at least 1, got 0", 2),
        (["data.path={set}", "variants=goblin"], "variants: 'goblin' is no group of terms", 2),
        (["data.path=/nowhere"], "/nowhere: no such folder; data.path names a folder of images", 1),
        (["data.path={set}", "model.path=/nowhere"], "no tokenizer of SDXL", 1),
        (["data.path={set}", "mode=caption", "overwrite=true", "captioner=/no"], "captioner=/no: no such folder", 1),
        (["--dataset", "x"], "settings are typed key=value without dashes", 2),
    ],
)
def test_a_mistake_is_answered_before_torch_is_imported(
    arguments: list[str], message: str, status: int, sprite_folder: Path, tmp_path: Path
) -> None:
    before = captions_of(sprite_folder)
    result = run(tmp_path, *(a.format(set=sprite_folder) for a in arguments))
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == status
    assert captions_of(sprite_folder) == before


def test_warnings_end_well_and_missing_captions_do_not(sprite_folder: Path, tmp_path: Path) -> None:
    (sprite_folder / "sprite_03.txt").write_text("pixel art, potion facing left, " + "Xylophonist " * 60)
    told = run(tmp_path, f"data.path={sprite_folder}", "flips=true")
    assert told.returncode == 0, told.stderr
    assert "sprite_03.png\n  warning: " in told.stdout
    assert re.search(r"\d+ tokens of 77, counted by the embedded base's tokenizer", told.stdout)
    assert "[sided_words]" in told.stdout
    assert "12 sprites, 11 of them without a finding" in told.stdout

    (sprite_folder / "sprite_01.txt").unlink()
    (sprite_folder / "sprite_02.txt").write_text("\n")
    told = run(tmp_path, f"data.path={sprite_folder}")
    assert told.returncode == 1
    assert "sprite_01.png\n  error: no caption" in told.stdout
    assert told.stderr == (
        f"error: {sprite_folder}: 2 of 12 sprites have no caption; write them with mode=edit, or let a model: "
        f"mode=caption\n"
    )


def test_help_names_the_keys(tmp_path: Path) -> None:
    told = run(tmp_path, "--help")
    assert told.returncode == 0
    for word in (
        "data.path=",
        "mode=validate",
        "prefix=",
        "suffix=",
        "captioner=Salesforce/blip2-opt-2.7b",
        "overwrite=",
    ):
        assert word in told.stdout


def test_captioning_with_the_real_blip2_classes(sprite_folder: Path, tmp_path: Path) -> None:
    model = tiny_models.make_blip2(tmp_path / "blip2")
    for number in range(2, 12):
        (sprite_folder / f"sprite_{number:02d}.txt").unlink()
    before = {file: file.stat().st_mtime_ns for file in sprite_folder.iterdir()}
    guide = ["prefix=pixel art, ", "suffix=, game sprite, 16-bit style", "max_tokens=6", "batch_size=4", "device=cpu"]
    told = run_with_torch(tmp_path, f"data.path={sprite_folder}", "mode=caption", f"captioner={model}", *guide)
    assert told.returncode == 0, told.stderr
    assert "12 sprites, 10 to caption" in told.stderr
    assert "captioning 10 sprites: about" in told.stderr
    assert "10 captions written" in told.stderr
    captions = captions_of(sprite_folder)
    assert len(captions) == 12
    for stem, text in captions.items():
        if stem > "sprite_01":
            assert re.fullmatch(r"pixel art, [a-z ]+, game sprite, 16-bit style\n", text)
    assert {file: file.stat().st_mtime_ns for file in before} == before

    again = run(tmp_path, f"data.path={sprite_folder}", "mode=caption", f"captioner={model}")
    assert again.returncode == 0
    assert "have a caption; overwrite=true writes it anew" in again.stderr
    assert "nothing to do" in again.stderr


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again(sprite_folder: Path, tmp_path: Path) -> None:
    model = tiny_models.make_blip2(tmp_path / "blip2")
    for file in sprite_folder.glob("*.txt"):
        file.unlink()
    line = [f"data.path={sprite_folder}", "mode=caption", f"captioner={model}", "batch_size=1", "device=cpu"]
    killed = subprocess.Popen([sys.executable, SCRIPT, *line], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while len(captions_of(sprite_folder)) < 3 and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    before = captions_of(sprite_folder)
    assert 3 <= len(before) < 12, "killed too late"
    assert run_with_torch(tmp_path, *line).returncode == 0
    after = captions_of(sprite_folder)
    assert len(after) == 12
    assert {stem: after[stem] for stem in before} == before


def write_editor(folder: Path, body: str) -> str:
    script = folder / "editor.py"
    script.write_text(f"import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n{body}\n")
    return f"{sys.executable} {script}"


def edit_in_terminal(sprites: Path, folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    editor = write_editor(folder, body)
    return run(folder, f"data.path={sprites}", "mode=edit", "editor=true", VISUAL="", EDITOR=editor)


def test_editing_in_a_terminal(sprite_folder: Path, tmp_path: Path) -> None:
    before = captions_of(sprite_folder)
    (sprite_folder / "sprite_05.txt").unlink()
    body = "file.write_text(text.replace('number 0', 'of  fire').replace('_05.png\\t', '_05.png\\tpixel art, new'))"
    told = edit_in_terminal(sprite_folder, tmp_path, body)
    assert told.returncode == 0, told.stderr
    assert "2 captions changed" in told.stderr
    changed = {"sprite_00": "pixel art, potion of fire\n", "sprite_05": "pixel art, new\n"}
    assert captions_of(sprite_folder) == {**before, **changed}


def test_a_caption_changed_while_the_editor_was_open_stays(sprite_folder: Path, tmp_path: Path) -> None:
    other = sprite_folder / "sprite_00.txt"
    body = f"pathlib.Path({str(other)!r}).write_text('pixel art, by another\\n')\n"
    body += "file.write_text(text.replace('potion', 'key'))"
    told = edit_in_terminal(sprite_folder, tmp_path, body)
    assert told.returncode == 1
    assert "11 captions changed" in told.stderr
    assert "sprite_00.png: changed on disk meanwhile, and left so; your text is in" in told.stderr
    assert other.read_text() == "pixel art, by another\n"
    assert (sprite_folder / "sprite_01.txt").read_text() == "pixel art, key number 1\n"


def test_a_line_that_cannot_be_read_changes_nothing(sprite_folder: Path, tmp_path: Path) -> None:
    before = captions_of(sprite_folder)
    body = "file.write_text(text.replace('potion', 'key').replace('_07.png', '_77.png'))"
    told = edit_in_terminal(sprite_folder, tmp_path, body)
    assert told.returncode == 1
    assert "nothing was changed:\n  line 10: no sprite is called 'sprite_77.png'\n  your text is in" in told.stderr
    assert captions_of(sprite_folder) == before


def test_without_flask_the_page_says_what_to_install(sprite_folder: Path, tmp_path: Path) -> None:
    told = run(tmp_path, f"data.path={sprite_folder}", "mode=edit", before="sys.modules['flask'] = None")
    assert told.returncode == 2
    assert "mode=edit needs Flask: pip install 'spritelora[edit]', or edit in the terminal: editor=true" in told.stderr


def test_the_page_is_served_until_it_is_interrupted(sprite_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="Flask is not installed")
    line = [f"data.path={sprite_folder}", "mode=edit", "port=0"]
    served = subprocess.Popen([sys.executable, SCRIPT, *line], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert served.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+/", served.stderr.readline())
    assert found is not None
    with urllib.request.urlopen(found[0] + "sprites", timeout=20) as answer:
        assert b"sprite_11.png" in answer.read()
    served.send_signal(signal.SIGINT)
    assert served.wait(20) == 0
    assert "Traceback" not in served.stderr.read()
    served.stderr.close()
