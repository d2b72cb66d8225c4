"""What is installed from the wheel holds every command, its options, the embedded base and the search."""

import configparser
import importlib
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from spritelora.door.command_table import COMMANDS
from tests.conftest import QUICK, ROOT

DRAW = """
from importlib import resources
from diffusers import StableDiffusionXLPipeline
folder = resources.files("spritelora") / "assets" / "tiny-sdxl"
pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
image = pipeline("pixel art, red potion", width=128, height=128, num_inference_steps=2).images[0]
assert image.size == (128, 128) and len(image.getcolors(1 << 16)) > 2
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("spritelora-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with what the wheel installs."""
    folder = wheel.parent / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start the installed program, in a folder that is no checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-m", "spritelora", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_every_option_and_asset_travels(installed: Path) -> None:
    package = installed / "spritelora"
    for folder in ("conf", "scripts/conf"):
        there = {file.relative_to(package / folder) for file in (package / folder).rglob("*") if file.is_file()}
        assert there == {file.relative_to(ROOT / folder) for file in (ROOT / folder).rglob("*.yaml")}
    sources = ROOT / "src"
    listed = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:  # a copy without git has no list
        missing = [name for name in listed.stdout.split() if not (installed / name.removeprefix("src/")).is_file()]
        assert missing == []
    assert (package / "assets" / "tiny-sdxl" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == (
        sources / "spritelora/assets/tiny-sdxl/unet/diffusion_pytorch_model.safetensors"
    ).read_bytes()


def test_the_console_script_is_the_program(installed: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read(next(installed.glob("*.dist-info")) / "entry_points.txt")
    module, _, name = parser["console_scripts"]["spritelora"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_an_installed_command_composes_and_names_itself(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text("# @package _global_\nlora: {rank: 13}\n")
    done = run_installed(installed, "train", "--config-dir", "mine", "experiment=own", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rank: 13" in done.stdout
    told = run_installed(installed, "export", "--help", cwd=tmp_path)
    assert "Write a run's LoRA for other programs:  python -m spritelora export run=RUN" in told.stdout


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program: str, *words: str | Path) -> str:
        done = subprocess.run([scripts / program, *words], cwd=tmp_path, env=outside, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run("pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    run("python", "-c", DRAW)
    find = "from hydra.core.plugins import Plugins; print([p.__name__ for p in Plugins.instance().discover()])"
    assert "'OptunaSweeper'" in run("python", "-c", find)
    quick = [*QUICK, f"data.cache={tmp_path / 'cache'}"]
    run("spritelora", "train", *quick, "trainer.max_steps=2", "trainer.save_every=1", "output=one")
    run("spritelora", "train", "resume=one", "trainer.max_steps=3")
    run("spritelora", "train", *quick, "trainer.max_steps=1", "hardware.devices=2", "output=two")
    run("spritelora", "train", *quick, "trainer.max_steps=1", "-m", "lora=rank8,rank16", "output=sweep")
    run("spritelora", "benchmark", "mode=command", "rounds=1", "overrides=[data.limit=4,trainer.max_steps=1]")
    run("spritelora", "export", "run=one", "format=peft", "output=peft")
    for command in COMMANDS:
        assert f"spritelora {command}" in run("spritelora", command, "--help")
