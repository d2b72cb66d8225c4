"""Commands killed at random moments: no half file is left, no input is touched, the same command then does its work.

`make slow` kills 1,000 times, in parts that can be run alone and add up, as by `-m slow -k "3-generate"`; each prints
its counts. Trainings that are killed within a step or a checkpoint are in `test_killed_runs.py`.
"""

import hashlib
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from tests.conftest import QUICK, ROOT, draw_sprite
from tests.running import run_python, start_python

PARTS, KILLS = 9, 12
"""Parts of each of ten commands, and the kills of a part: 1,080 in all."""
SMALL = (*QUICK, "targets.modules=[attn2.to_v]", "trainer.batch_size=1", "trainer.save_every=1", "validation.limit=1")
MOVING = (".log", ".lock", ".filelock")


@dataclass(frozen=True)
class Killed:
    """A command whose work can be killed. `words`: of its command line, in the folder of its inputs and outputs.

    `output`: what it writes, which is equal in the end whenever it was killed; None where it holds times. `is_over`:
    what it says where its work is done already.
    """

    script: str
    words: tuple[str, ...]
    output: str | None
    is_over: str = ""


ANEW = "overwrite=true"
TRAINED = (*SMALL, "data.cache=cache", "output=out")
DRAWN = ("palette=none", "native_size=16", "model.resolution=64", "sampler.steps=1")
COMMANDS = {
    "prepare": Killed("prepare", ("input=art", "output=out", "create_captions=true", "workers=1"), "out"),
    "generate": Killed("generate", ("prompts=[a,b,c]", *DRAWN, "output=out"), "out", "is not an empty folder"),
    "validate": Killed(
        "validate",
        ("run=run", "output=out", "strength=1.0", "num_prompts=1", "sampler.steps=1", "sampler.guidance=1.0"),
        None,
        "holds a validation",
    ),
    "export": Killed("export", ("run=run", "format=diffusers", "workflow=true", "output=out.safetensors", ANEW), None),
    "merge": Killed(
        "lora", ("mode=merge", "loras=[run/checkpoint_final/lora.safetensors]", "output=out.safetensors", ANEW), None
    ),
    "compare": Killed("compare", ("runs=[run,run2]", "output=out", ANEW), "out"),
    "caption": Killed("caption", ("data.path=art", "mode=validate"), None),
    "workspace": Killed("workspace", ("output=out/workspace.json", ANEW), None),
    "sweep": Killed("train", ("-m", *TRAINED, "trainer.max_steps=2", "lora.rank=2,4"), None),
    "train": Killed("train", (*TRAINED, "resume=auto", "trainer.max_steps=3", "lora.rank=2"), None, "at step 3 of 3"),
}  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path, trained_once: Callable[..., Path]) -> Callable[[Killed], Path]:
    """Makes a folder of what a command reads: art, and two runs where it names any."""

    def make(command: Killed) -> Path:
        folder = tmp_path / "inputs"
        (folder / "art").mkdir(parents=True)
        for number in range(6):
            Image.fromarray(draw_sprite(number)).save(folder / "art" / f"sprite_{number}.png")
            (folder / "art" / f"sprite_{number}.txt").write_text(f"pixel art, potion {number}\n")
        if any("run" in word for word in command.words):
            for seed, name in enumerate(("run", "run2")):
                trained_once("trainer.max_steps=1", "lora.rank=2", f"seed={seed}", name=f"inputs/{name}")
        return folder

    return make


def contents(folder: Path) -> dict[str, str]:
    """Every file with the hash of its bytes, but for logs and locks."""
    files = [f for f in folder.rglob("*") if f.is_file() and not f.name.endswith(MOVING)]
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def results(folder: Path) -> dict[str, str]:
    """What a command was asked for, without what Hydra and prepare keep for themselves."""
    return {name: sha256 for name, sha256 in contents(folder).items() if not name.startswith((".hydra", ".prepare"))}


def half_files(folder: Path) -> list[str]:
    """Files that no reader can read to their end; those of another name than what they become are not looked at."""
    readers: dict[str, Callable[[Path], object]] = {
        ".png": lambda f: Image.open(f).load(),
        ".json": lambda f: json.loads(f.read_text()),
        ".safetensors": lambda f: safe_open(f, framework="pt").keys(),
        ".html": lambda f: f.read_text().rstrip().endswith("</html>") or 1 / 0,
    }
    half: list[str] = []
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        is_own = any(part.startswith(".") or part == "wandb" for part in parts)  # of Hydra, of a lock, or on its way
        if file.suffix in readers and file.is_file() and not is_own:
            try:
                readers[file.suffix](file)
            except Exception as error:
                half.append(f"{file}: {error!r:.200}")
    return half


def run_to_its_end(here: Path, command: Killed) -> float:
    """Returns the seconds it took."""
    started = time.monotonic()
    done = run_python(ROOT / script_of(command), *command.words, cwd=here)
    told = done.stdout + done.stderr
    assert "Traceback" not in told, told
    assert done.returncode == 0 or (command.is_over and command.is_over in told), told
    return time.monotonic() - started


def script_of(command: Killed) -> str:
    return "train.py" if command.script == "train" else f"scripts/{command.script}.py"


def kill_again_and_again(folder: Path, inputs: Path, command: Killed, kills: int, seed: int) -> Counter[str]:
    """Kill a command at random moments of its time, then let it end. Returns what the kills met."""
    moments, met = random.Random(seed), Counter[str]()
    whole = Path(shutil.copytree(inputs, folder / "whole"))
    run_to_its_end(whole, command)
    takes_s = run_to_its_end(Path(shutil.copytree(inputs, folder / "once more")), command)
    here = Path(shutil.copytree(inputs, folder / "here"))
    given = contents(inputs)
    for _ in range(kills):
        process = start_python(ROOT / script_of(command), *command.words, cwd=here)
        time.sleep(moments.uniform(0.0, takes_s))
        met["ended before" if process.poll() is not None else "killed"] += 1
        process.kill()
        told = "".join(process.communicate())
        assert "Traceback" not in told, told
        now = contents(here)
        assert {file: now.get(file) for file in given} == given, "an input was touched"
        assert not half_files(here), half_files(here)
        met["left something"] += len(now) > len(given)
    run_to_its_end(here, command)
    run_to_its_end(here, command)
    assert not half_files(here)
    if command.output is not None:
        assert results(here / command.output) == results(whole / command.output)
    if command.script == "train":
        assert tensors(here / "out") == tensors(whole / "out")
    return met


def tensors(run: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for file in run.rglob("checkpoint_final/lora.safetensors"):
        with safe_open(file, framework="np") as opened:
            found |= {f"{file.relative_to(run)} {name}": opened.get_tensor(name).tobytes() for name in opened.keys()}  # noqa: SIM118
    assert found
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "prepare" else pytest.mark.slow) for name in COMMANDS]
)
@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, PARTS))])
def test_a_command_killed_at_random_moments_leaves_nothing_half_and_goes_on(
    name: str, part: int, inputs: Callable[[Killed], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kills = 3 if (name, part) == ("prepare", 0) else KILLS
    met = kill_again_and_again(tmp_path, inputs(COMMANDS[name]), COMMANDS[name], kills, seed=1000 * part + len(name))
    with capsys.disabled():
        print(f"\n{name}, part {part}: {kills} kills, {dict(met)}")  # noqa: T201
