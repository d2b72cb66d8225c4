"""A loss or a weight that is no number ends the run, with its step and sprites, and no checkpoint is made of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spritelora.data.batch import training_batch
from spritelora.diffusion.schedule import NUM_TIMESTEPS
from spritelora.errors import TrainingError
from tests.training.tiny_loop import AfterSteps, Settings, tiny_set, train

pytestmark = pytest.mark.numeric


def spoiled(place: int, value: float):
    encoded = tiny_set()
    encoded[place].views[0].latents[0, 0, 0] = value
    return encoded


@pytest.mark.parametrize(("value", "shown", "accumulate"), [(float("nan"), "nan", 1), (float("inf"), "nan|inf", 2)])
def test_the_first_bad_batch_is_named_and_the_last_good_checkpoint_stays(
    tmp_path: Path, value: float, shown: str, accumulate: int
) -> None:
    """The step and timesteps come from the data order, computed here again; the losses are looked at 20 steps later."""
    bad = 5
    batches = [training_batch(tiny_set(), 0, (2 * i, 2 * i + 1), NUM_TIMESTEPS) for i in range(8)]
    number = next(i for i, batch in enumerate(batches) if bad in batch.indices.tolist())
    step, timesteps = number // accumulate + 1, batches[number].timesteps.tolist()
    names = [f"sprite_{i}.png" for i in batches[number].indices.tolist()]
    batch = ", ".join(f"{n} at timestep {t}" for n, t in zip(names, timesteps, strict=True))
    settings = Settings(40, accumulate=accumulate, log_every=20)
    if step > 1:
        train(tmp_path, replace(settings, max_steps=step - 1))
    with pytest.raises(
        TrainingError, match=rf"the loss became ({shown}) at step {step}, in the batch of {batch}; "
    ) as told:
        train(tmp_path, settings, encoded=spoiled(bad, value))
    kept = (
        f"the last good checkpoint is {tmp_path / f'checkpoint_step_{step - 1}'}"
        if step > 1
        else "no checkpoint before"
    )
    assert kept in str(told.value)
    assert "start a new run with a lower optim.lr" in str(told.value)
    assert [p.name for p in tmp_path.glob("*checkpoint*")] == ([f"checkpoint_step_{step - 1}"] if step > 1 else [])


def test_bad_losses_are_found_before_a_checkpoint_is_written_from_them(tmp_path: Path) -> None:
    first = int(training_batch(tiny_set(), 0, (0, 1), NUM_TIMESTEPS).indices[0])
    with pytest.raises(TrainingError, match="the loss became"):
        train(tmp_path, Settings(40, save_every=8, log_every=1000), encoded=spoiled(first, float("nan")))
    assert not list(tmp_path.glob("*checkpoint*"))


class Spoil(AfterSteps):
    """An update that overflows, which no loss has shown yet."""

    def after_step(self, module, step: int) -> None:
        if step == 4:
            next(p for p in module.parameters() if p.requires_grad).data[0, 0] = float("inf")


def test_bad_weights_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"the adapter's weights are not finite after step 4, its losses were; .*step_2"
    ):
        train(tmp_path, Settings(40, save_every=2, log_every=1000), Spoil())
    assert [p.name for p in tmp_path.glob("*checkpoint*")] == ["checkpoint_step_2"]


def test_large_weights_are_weights(tmp_path: Path) -> None:
    """Beyond 1e19 the square of an fp32 number is infinite; the number is not."""

    class Enlarge(AfterSteps):
        def after_step(self, module, step: int) -> None:
            with torch.no_grad():
                next(p for n, p in module.named_parameters() if "lora_B" in n)[0, 0] = 1e25

    train(tmp_path, Settings(1), Enlarge())
    assert (tmp_path / "checkpoint_step_1").is_dir()
