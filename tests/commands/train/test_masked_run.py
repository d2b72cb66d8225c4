"""The masked loss: a law of its average, and a run with it that goes on as exactly as any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from spritelora.config.train.data_keys import AugmentConfig, DataConfig
from spritelora.config.train.schema import Prediction
from spritelora.data.batch import training_batch
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.data.training_set import read_training_set
from spritelora.diffusion.schedule import cumulative_alphas
from spritelora.diffusion.weighting import MinSNR
from spritelora.errors import ConfigError, DatasetError, ResumeError
from spritelora.sdxl.text import TextEmbedding
from spritelora.training.module import Objective
from tests.bounds import assert_same_function, rounding
from tests.conftest import assert_same_tensors, lora_of
from tests.training.test_training import given_batch

MASKED = (
    "objective.masked_loss=true",
    "objective.unmasked_weight=0.1",
    "data.augment.flip=true",
    "trainer.accumulate=2",
)


def objective(unmasked_weight: float = 0.0) -> Objective:
    return Objective(cumulative_alphas(), Prediction.epsilon, MinSNR(5.0), 0.0, unmasked_weight=unmasked_weight)


def constant_error(difference: torch.Tensor, *_: object) -> torch.Tensor:
    return torch.full_like(difference, 0.7)


@pytest.mark.numeric
@pytest.mark.parametrize("unmasked_weight", [0.0, 0.3])
@torch.no_grad()
def test_a_constant_error_has_the_loss_of_no_mask_whatever_the_area(unet, unmasked_weight: float) -> None:
    batch = given_batch(unet)
    masks = (torch.rand(4, 1, 16, 16) < torch.tensor([0.01, 0.2, 0.6, 1.0]).view(4, 1, 1, 1)) * torch.rand(4, 1, 16, 16)
    masks[:, :, 0, 0] = 0.5
    ours = replace(objective(unmasked_weight), error=constant_error)
    masked, whole = ours.loss(unet, batch._replace(masks=masks)), ours.loss(unet, batch)
    # Two means of a sample's cells in fp32, of numbers above zero; so is the mean without a mask.
    assert float(masked) == pytest.approx(float(whole), rel=rounding(3 * batch.latents[0].numel()))


@pytest.mark.numeric
@torch.no_grad()
def test_what_is_outside_counts_as_much_as_it_is_told_to(unet) -> None:
    batch = given_batch(unet)
    masks = torch.zeros(4, 1, 16, 16)
    masks[..., :8, :8] = 1
    outside = batch.noise.clone()
    outside[..., 8:, 8:] += 5  # only the target, for the input has it taken off again
    moved = batch._replace(noise=outside, jitter=batch.noise - outside, masks=masks)
    inside = batch._replace(masks=masks)
    # The input has 5 taken off again in fp32, so that it is another by rounding; the means are of numbers above zero.
    assert_same_function(objective().loss(unet, moved), objective().loss(unet, inside), torch.float32)
    assert objective(0.2).loss(unet, moved) > 1.5 * objective(0.2).loss(unet, inside)
    whole = objective(1.0).loss(unet, moved)
    assert torch.equal(whole, objective().loss(unet, moved._replace(masks=torch.ones(1, 1, 1, 1))))


def test_the_mask_shown_is_of_the_variant_shown() -> None:
    text = TextEmbedding(torch.zeros(77, 8), torch.zeros(4))

    def numbered(value: float) -> EncodedView:
        return EncodedView(torch.full((4, 4, 4), value), [text], torch.full((1, 4, 4), value))

    sprites = [EncodedSprite(str(i), [numbered(i + v / 10) for v in range(3)]) for i in range(5)]
    batch = training_batch(EncodedSet(sprites), 0, range(100), 1000)
    assert torch.equal(batch.masks, batch.latents[:, :1])
    assert len(batch.masks.unique()) == 15
    unmasked = [replace(s, views=[EncodedView(v.latents, v.texts) for v in s.views]) for s in sprites]
    without = training_batch(EncodedSet(unmasked), 0, range(100), 1000)
    assert (without.masks == 1).all()
    assert all(torch.equal(a, b) for a, b in zip(batch[:-1], without[:-1], strict=True))


@pytest.mark.slow
def test_a_masked_run_resumes_exactly_and_says_so(train_quickly, sprite_folder: Path) -> None:
    data = f"data.path={sprite_folder}"
    whole = train_quickly(*MASKED, data, "trainer.max_steps=3", name="whole")
    parts = train_quickly(*MASKED, data, "trainer.max_steps=1", name="parts")
    train_quickly(*MASKED, data, f"resume={parts}", "trainer.max_steps=3", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    with safe_open(whole / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        assert file.metadata()["ss_masked_loss"] == "True"
    plain = train_quickly(*MASKED, data, "objective.masked_loss=false", "trainer.max_steps=1", name="plain")
    assert any(not a.equal(b) for a, b in zip(lora_of(plain).values(), lora_of(whole).values(), strict=True))
    with pytest.raises(ResumeError, match=r"objective\.masked_loss: True -> False"):
        train_quickly(*MASKED, data, "objective.masked_loss=false", f"resume={parts}", "trainer.max_steps=4", name="x")


def test_only_a_masked_run_has_masks_and_one_for_each_variant(sprite_folder: Path, caplog) -> None:
    caplog.set_level("INFO")
    data = DataConfig(path=str(sprite_folder), augment=AugmentConfig(flip=True))
    plain, masked = (read_training_set(data, 128, masked=is_masked) for is_masked in (False, True))
    assert all(view.mask is None for sprite in plain.viewed for view in sprite.views)
    assert all(view.mask is not None for sprite in masked.viewed for view in sprite.views)
    covered = 100 * (12 / 16) ** 2
    assert f"sprites cover {covered:.0f} % of their images, {covered:.0f} to {covered:.0f} %" in caplog.text
    assert masked.hash == plain.hash


def test_masks_that_leave_nothing_out_or_nothing_at_all_are_refused(sprite_folder: Path) -> None:
    data = DataConfig(path=str(sprite_folder), holdout=0)
    Image.new("RGBA", (16, 16)).save(sprite_folder / "sprite_05.png")
    with pytest.raises(
        DatasetError, match=r"sprite_05\.png: every pixel is transparent, so objective\.masked_loss=true"
    ):
        read_training_set(data, 128, masked=True)
    for file in sprite_folder.glob("*.png"):
        Image.fromarray(np.asarray(Image.open(file))[..., :3]).save(file)
    with pytest.raises(ConfigError, match=r"masked_loss=true: none of the 12 sprites .* has transparency or padding"):
        read_training_set(replace(data, cut_background="keep"), 128, masked=True)
