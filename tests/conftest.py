"""What several tests need: the embedded base, a folder of sprites, a cache, and runs of the training task."""

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import running
from tests.running import ROOT, run_python

os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as tasks/libraries.py does, before torch is imported

QUICK = (
    "data.limit=12",
    "targets=attention",
    "schedule=constant",
    "trainer.batch_size=2",
    "trainer.sample_every=0",
    "trainer.validate_every=0",
    "trainer.log_every=1",
    "validation.draws=1",
    "validation.bands=2",
    "sampler.steps=2",
    "sampler.prompts=pixel art, red potion",
    "logger=csv",
)
"""Overrides of a run that is over in seconds."""


def pytest_configure(config: pytest.Config) -> None:
    """Open the processes that commands are forked from; workers of xdist share those of the process they work for."""
    opened = contextlib.ExitStack()
    worker = getattr(config, "workerinput", None)
    running.addresses.update(worker["zygotes"] if worker else opened.enter_context(running.zygotes()))
    config.add_cleanup(opened.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where they are."""
    node.workerinput["zygotes"] = running.addresses


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder shared by all tests of a session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def base():
    """The embedded base model."""
    from spritelora.sdxl.base import find_base
    from spritelora.sdxl.embedded import embedded_base

    return find_base(str(embedded_base()))


@pytest.fixture
def unet(base):
    """The embedded base's UNet in fp32."""
    import torch

    from spritelora.sdxl.base import load_unet

    return load_unet(base, torch.float32)


def draw_sprite(seed: int, size: int = 16) -> np.ndarray:
    """A random RGBA sprite of a few colours with a transparent border that hides a loud colour."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(20, 236, (5, 3), dtype=np.uint8)
    sprite = np.zeros((size, size, 4), dtype=np.uint8)
    sprite[..., :3] = (255, 0, 255)
    sprite[2:-2, 2:-2, :3] = palette[rng.integers(0, 5, (size - 4, size - 4))]
    sprite[2:-2, 2:-2, 3] = 255
    return sprite


@pytest.fixture
def sprite_folder(tmp_path: Path) -> Path:
    """Twelve captioned sprites with transparency."""
    folder = tmp_path / "sprites"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(draw_sprite(i)).save(folder / f"sprite_{i:02d}.png")
        (folder / f"sprite_{i:02d}.txt").write_text(f"pixel art, potion number {i}\n")
    return folder


@pytest.fixture
def train_quickly(cache: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run the training task in this process; returns the run directory."""

    def run(*overrides: str, name: str = "run") -> Path:
        from spritelora.config.invocation import Invocation
        from spritelora.tasks.train import train
        from tests.composing import compose

        run_dir = tmp_path / name
        run_dir.mkdir(exist_ok=True)
        overrides = (*QUICK, f"data.cache={cache}", *overrides)
        train(compose(*overrides), Invocation(run_dir, overrides))
        return run_dir

    return run


def lora_of(run_dir: Path, name: str = "checkpoint_final") -> dict[str, Any]:
    """The tensors of a checkpoint's LoRA file."""
    from safetensors.torch import load_file

    return load_file(run_dir / name / "lora.safetensors")


def assert_same_tensors(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Equal to the bit."""
    assert ours.keys() == theirs.keys()
    different = [k for k in ours if not ours[k].equal(theirs[k])]
    assert not different, different[:3]


def run_train(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `train.py` as a user does. `options`: of `run_python`."""
    return run_python(ROOT / "train.py", *arguments, **options)
