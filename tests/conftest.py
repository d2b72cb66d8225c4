"""What several tests need: the embedded base, a folder of sprites, a cache, and runs of the training task."""

import contextlib
import gc
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from tests import running
from tests.running import ROOT, run_python

os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as process.py does, before torch is imported

QUICK = (
    "data.limit=12",
    "model.resolution=128",
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


def trains(file: Path) -> bool:
    """Whether whole commands run in a test file."""
    tests = ROOT / "tests"
    return file.parent in (tests, tests / "door", tests / "sweeps") or file.is_relative_to(tests / "commands")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that train first: with the short ones at the end two workers are done at the same time."""
    items.sort(key=lambda item: not trains(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[object]:
    """Undo what a command has set in the environment of this process: processes are forked for the tests' own alone."""
    before = dict(os.environ)
    try:
        return (yield)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from going through what the test modules have imported, at each of its rounds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all tests of a session share, those of other workers of xdist included."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def make_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills for the first test that asks, in whichever worker; nobody writes there after."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f"{folder.name}.made")
    with FileLock(f"{folder}.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def cache(shared_folder: Path) -> Path:
    """A cache folder shared by all tests of a session."""
    (shared_folder / "cache").mkdir(exist_ok=True)
    return shared_folder / "cache"


@pytest.fixture(scope="session")
def base():
    """The embedded base model."""
    from spritelora.embedded.location import embedded_base
    from spritelora.sdxl.files.base import find_base

    return find_base(str(embedded_base()))


@pytest.fixture
def unet(base):
    """The embedded base's UNet in fp32."""
    import torch

    from spritelora.sdxl.files.base import load_unet

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


def train_into(run_dir: Path, cache: Path, *overrides: str) -> Path:
    """Run the training task in this process; returns the run directory."""
    from spritelora.config.invocation import Invocation
    from spritelora.door.command_table import train
    from tests.composing import compose

    run_dir.mkdir(parents=True, exist_ok=True)
    overrides = (*QUICK, f"data.cache={cache}", *overrides)
    train.task(compose(*overrides), Invocation(run_dir, overrides))
    return run_dir


@pytest.fixture
def train_quickly(cache: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run the training task in this process; returns the run directory."""

    def run(*overrides: str, name: str = "run") -> Path:
        return train_into(tmp_path / name, cache, *overrides)

    return run


@pytest.fixture
def trained_once(cache: Path, shared_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the run that these overrides give, which is trained once for all tests of a session.

    For tests that begin with a finished run; one about training trains for itself.
    """

    def copy_of(*overrides: str, name: str = "run") -> Path:
        known_as = hashlib.sha256("\n".join(overrides).encode()).hexdigest()[:16]
        made = make_once(shared_folder / known_as / "run", lambda folder: train_into(folder, cache, *overrides))
        return Path(shutil.copytree(made, tmp_path / name))

    return copy_of


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
