"""Ctrl-C in long commands: one line says what goes on, and the end is that of an undisturbed command."""

import hashlib
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from spritelora.program import for_shell
from tests.captioning import tiny_models
from tests.conftest import draw_sprite
from tests.running import ROOT, run_python, start_python

NUM_SPRITES = 240
QUICK = ("sampler.guidance=1.0", "model.resolution=128")


@dataclass(frozen=True)
class Stopped:
    """A command that is stopped. `words`: of its command line, in the folder of its inputs and outputs.

    `begun`: a pattern of what it writes before half of its work is done. `output`: what must be equal in the end, as a
    pattern.
    """

    script: str
    words: tuple[str, ...]
    begun: str
    output: str


COMMANDS = {
    "prepare": Stopped(
        "prepare", ("input=art", "output=out", "create_captions=true", "workers=1"), "out/*.png", "out/*"
    ),
    "caption": Stopped(
        "caption",
        ("data.path=art", "mode=caption", "captioner=blip", "device=cpu", "batch_size=1", "max_tokens=8", "prefix=a"),
        "art/*.txt",
        "art/*.txt",
    ),
    "generate": Stopped(
        "generate",
        ("prompts=[a gem,a key]", "count=20", "sampler.steps=4", "sampler.batch_size=1", *QUICK, "output=out"),
        "out/.drawn/**/*.png",
        "out/sprites/*.png",
    ),
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with art."""
    (tmp_path / "here" / "art").mkdir(parents=True)
    for number in range(NUM_SPRITES):
        Image.fromarray(draw_sprite(number)).save(tmp_path / "here" / "art" / f"sprite_{number:03d}.png")
    return tmp_path / "here"


def contents(folder: Path, pattern: str) -> dict[str, str]:
    files = [f for f in folder.glob(pattern) if f.is_file() and f.suffix != ".log"]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_keeps_what_is_done_and_names_the_command_that_goes_on(name: str, here: Path, tmp_path: Path) -> None:
    command = COMMANDS[name]
    if name == "caption":
        tiny_models.make_blip(here / "blip")
    whole = Path(shutil.copytree(here, tmp_path / "whole"))
    script = ROOT / "scripts" / f"{command.script}.py"
    process = start_python(script, *command.words, cwd=here)
    deadline = time.monotonic() + 120
    while not any(here.glob(command.begun)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    told = "".join(process.communicate())
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.count("To continue, type: ") == 1
    goes_on = told.partition("To continue, type: ")[2].splitlines()[0]
    assert f"{command.script}.py {for_shell(command.words[0])} " in goes_on
    kept = contents(here, command.begun)
    assert kept
    for folder in (here, whole):
        done = run_python(script, *command.words, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert contents(here, command.output) == contents(whole, command.output)
