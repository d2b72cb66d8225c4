"""The laws of a run, on sprites of several shapes: it goes on to the bit, and accumulation stands for a batch."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spritelora.adapters.layers.lora import adapter_parameters
from tests.bounds import assert_same_function
from tests.conftest import assert_same_tensors
from tests.training.tiny_loop import Settings, tiny_set, train

pytestmark = pytest.mark.numeric

SHAPED = tiny_set(8, [(4, 4), (6, 2), (2, 6)])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_on_several_shapes_goes_on_to_the_bit(accumulate: int, tmp_path: Path) -> None:
    """From before, between and after steps of each shape."""
    whole, settings = tmp_path / "whole", Settings(6, accumulate=accumulate, save_every=1)
    train(whole, settings, encoded=SHAPED)
    state = "checkpoint_step_6/training_state/state.safetensors"
    for first in (1, 3):
        parts = tmp_path / f"parts_{first}"
        parts.mkdir()
        shutil.copytree(whole / f"checkpoint_step_{first}", parts / f"checkpoint_step_{first}")
        train(parts, Settings(6, accumulate=accumulate), encoded=SHAPED)
        assert_same_tensors(load_file(whole / state), load_file(parts / state))


def test_two_passes_of_two_are_one_of_four_on_several_shapes(tmp_path: Path) -> None:
    runs = [
        train(tmp_path / str(batch), Settings(5, batch_size=batch, accumulate=4 // batch, dropout=0.0), encoded=SHAPED)
        for batch in (4, 2, 1)
    ]
    whole, *parts = [torch.cat([p.detach().flatten() for p in adapter_parameters(run.unet)]) for run in runs]
    assert whole.any()
    for part in parts:
        assert_same_function(part, whole, torch.float32)
