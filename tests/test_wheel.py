"""What is installed from the wheel holds the embedded base and the search."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT

DRAW = """
from importlib import resources
from diffusers import StableDiffusionXLPipeline
folder = resources.files("spritelora") / "assets" / "tiny-sdxl"
pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
image = pipeline("pixel art, red potion", width=128, height=128, num_inference_steps=2).images[0]
assert image.size == (128, 128) and len(image.getcolors(1 << 16)) > 2
"""


@pytest.mark.slow
def test_plain_diffusers_draws_with_the_installed_base(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("spritelora-*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel], check=True)
    subprocess.run([python, "-c", DRAW], cwd=tmp_path, check=True)
    find = "from hydra.core.plugins import Plugins; print([p.__name__ for p in Plugins.instance().discover()])"
    found = subprocess.run([python, "-c", find], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "'OptunaSweeper'" in found
