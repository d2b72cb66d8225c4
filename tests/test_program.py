"""A command is named as it was started, and started where there is no checkout."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spritelora import program
from spritelora.__main__ import explain_unknown, list_commands
from spritelora.door.command_table import COMMANDS
from spritelora.program import PACKAGE, child_command, typed
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("started", "train", "prepare"),
    [
        ("train.py", "python train.py", "python scripts/prepare.py"),
        ("./train.py", "python train.py", "python scripts/prepare.py"),
        ("scripts/prepare.py", "python train.py", "python scripts/prepare.py"),
        (f"{ROOT}/scripts/prepare.py", "python train.py", "python scripts/prepare.py"),
        ("/venv/bin/spritelora", "spritelora train", "spritelora prepare"),
        ("/venv/Scripts/spritelora.exe", "spritelora train", "spritelora prepare"),
        (f"{PACKAGE}/__main__.py", "python -m spritelora train", "python -m spritelora prepare"),
        ("/venv/bin/pytest", "python train.py", "python scripts/prepare.py"),
    ],
)
def test_commands_are_named_as_the_process_was_started(
    started: str, train: str, prepare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [started, "key=value"])
    assert (typed("train"), typed("prepare")) == (train, prepare)


def test_from_another_folder_the_checkout_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [os.path.relpath(ROOT / "scripts" / "lora.py")])
    _, script, setting = shlex.split(typed("train", "resume=a run"))
    assert Path(script).resolve() == ROOT / "train.py"
    assert setting == "resume=a run"


def test_installed_without_a_checkout_the_console_script_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["worker.py"])
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    assert typed("train", "resume=run") == "spritelora train resume=run"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_script_a_configuration_and_a_line(name: str) -> None:
    command = COMMANDS[name]
    assert (ROOT / ("train.py" if name == "train" else f"scripts/{name}.py")).is_file()
    assert (ROOT / f"{command.options}.yaml").is_file()
    assert f"  {name} " in list_commands()
    assert command.summary in list_commands()


def test_every_script_is_a_command() -> None:
    assert {file.stem for file in (ROOT / "scripts").glob("*.py")} | {"train"} == set(COMMANDS)


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("trian", "'spritelora train'"),
        ("scripts/prepare.py", "'spritelora prepare'"),
        ("data.path=art", "spritelora train data.path=art"),
        ("frobnicate", "prepare, caption, train"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(word: str, remedy: str) -> None:
    assert f"'{word}'" in explain_unknown(word)
    assert remedy in explain_unknown(word)


def test_the_program_names_its_commands_and_their_mistakes_without_torch(tmp_path: Path) -> None:
    """In one process, for each start costs half a second: the list, a help, a wrong word and a wrong key."""
    script = f"""
import runpy, sys
for words in ([], ["--version"], ["prepare", "--help"], ["trian"], ["train", "lora.rnk=8"]):
    sys.argv = [{str(PACKAGE / "__main__.py")!r}, *words]
    try:
        runpy.run_module("spritelora", run_name="__main__")
    except SystemExit as ended:
        print("status", ended.code)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "spritelora COMMAND key=value" in done.stdout
    assert "Make a data set of a folder of game art:  python -m spritelora prepare input=" in done.stdout
    assert done.stdout.count("status 2") == 2
    assert "did you mean 'spritelora train'?" in done.stderr
    assert "unknown key 'lora.rnk': did you mean 'lora.rank'?" in done.stderr


def test_a_child_is_started_by_this_interpreter_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "spritelora.py").write_text("raise SystemExit('a file of the user')")
    done = subprocess.run(
        child_command("train", "lora=rank16", "--cfg", "job"), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "rank: 16" in done.stdout
