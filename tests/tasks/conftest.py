"""A short run, once for all tests of tasks that read one."""

import shutil
from pathlib import Path

import pytest

from spritelora.config.invocation import Invocation
from tests.composing import compose
from tests.conftest import QUICK

SHORT = ("trainer.max_steps=6", "trainer.save_every=0", "trainer.batch_size=4", "optim.lr=0.01", "targets=wide")


def train_short(folder: Path, cache: Path, *more: str) -> Path:
    """A run of a few steps that changes what the base draws."""
    from spritelora.tasks.train import train

    folder.mkdir(parents=True)
    overrides = (*QUICK, f"data.cache={cache}", *SHORT, *more)
    train(compose(*overrides), Invocation(folder, overrides))
    return folder


@pytest.fixture(scope="session")
def short_run(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_short(tmp_path_factory.mktemp("short") / "greens", cache)


@pytest.fixture
def own_run(short_run: Path, tmp_path: Path) -> Path:
    """A copy of the short run, to write into."""
    return Path(shutil.copytree(short_run, tmp_path / "greens"))
