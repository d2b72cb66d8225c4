"""A run that goes on from its files is the run that never stopped, whatever it is made of."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spritelora.config.train.adapter_keys import AdapterKind
from tests.conftest import assert_same_tensors
from tests.training.test_optimizers import OPTIONS
from tests.training.tiny_loop import Settings, train

pytestmark = pytest.mark.numeric

FACTORS: dict[str, Sequence[Any]] = {
    "optim": OPTIONS,
    "kind": list(AdapterKind),
    "accumulate": [1, 3],
    "ema": [0.0, 0.9],
}
MATRIX = [dict(zip(FACTORS, values, strict=True)) for values in itertools.product(*FACTORS.values())]


def pairs_of(row: dict[str, Any]) -> set[tuple[Any, ...]]:
    return set(itertools.combinations(row.items(), 2))


def pairwise() -> list[dict[str, Any]]:
    """Rows of the matrix in which every two values of two factors meet, each time the row with most new pairs."""
    rows, missing = [], set().union(*map(pairs_of, MATRIX))
    while missing:
        rows.append(max(MATRIX, key=lambda row: len(pairs_of(row) & missing)))
        missing -= pairs_of(rows[-1])
    return rows


def named(row: dict[str, Any]) -> str:
    return "-".join(str(getattr(v, "value", v)) for v in row.values())


def assert_goes_on(folder: Path, row: dict[str, Any], first: int, last: int) -> None:
    """Whole, and from what it had on disk at step `first`: weights, optimizer, schedule, average, counts, losses."""
    whole, parts = folder / "whole", folder / "parts"
    train(whole, Settings(last, save_every=first, **row))
    parts.mkdir()
    shutil.copytree(whole / f"checkpoint_step_{first}", parts / f"checkpoint_step_{first}")
    train(parts, Settings(last, **row))
    state = f"checkpoint_step_{last}/training_state/state.safetensors"
    ours, theirs = load_file(whole / state), load_file(parts / state)
    assert_same_tensors(ours, theirs)
    if row["ema"]:
        assert [name for name in ours if "Average" in name]
    if row["optim"].endswith("8bit") and row["kind"] is not AdapterKind.lokr:  # whose factors here are all too small
        assert [t for t in ours.values() if t.dtype == torch.uint8]


@pytest.mark.parametrize("row", pairwise(), ids=named)
def test_the_run_goes_on_to_the_bit(row: dict[str, Any], tmp_path: Path) -> None:
    assert_goes_on(tmp_path, row, 2, 4)


@pytest.mark.slow
@pytest.mark.parametrize("row", MATRIX, ids=named)
def test_sixty_steps_equal_thirty_seven_and_twenty_three(row: dict[str, Any], tmp_path: Path) -> None:
    assert_goes_on(tmp_path, row, 37, 60)
