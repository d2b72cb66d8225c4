"""A short run, once for all tests of tasks that read one."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import make_once, train_into

SHORT = ("trainer.max_steps=6", "trainer.save_every=0", "trainer.batch_size=4", "optim.lr=0.01", "targets=wide")


def train_short(folder: Path, cache: Path, *more: str) -> Path:
    """A run of a few steps that changes what the base draws."""
    return train_into(folder, cache, *SHORT, *more)


@pytest.fixture(scope="session")
def short_run(cache: Path, shared_folder: Path) -> Path:
    return make_once(shared_folder / "short" / "greens", lambda folder: train_short(folder, cache))


@pytest.fixture
def own_run(short_run: Path, tmp_path: Path) -> Path:
    """A copy of the short run, to write into."""
    return Path(shutil.copytree(short_run, tmp_path / "greens"))
