"""A step of ours and a step of diffusers' SDXL LoRA script: the same loss and the same gradients of the LoRA.

The script's arithmetic is written out from examples/text_to_image/train_text_to_image_lora_sdxl.py.
"""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from peft import LoraConfig
from torch.nn import functional

from spritelora.adapters.layers.lora import adapter_parameters, add_lora, match_targets
from spritelora.config.train.schema import Prediction
from spritelora.data.batch import Batch, training_batch
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.diffusion.schedule import cumulative_alphas
from spritelora.diffusion.weighting import MinSNR, Uniform
from spritelora.sdxl.files.base import BaseModel, Unet, load_unet
from spritelora.sdxl.text import TextEmbedding
from spritelora.training.module import Objective
from tests.bounds import assert_same_function, rounding
from tests.training.test_training import given_batch

pytestmark = pytest.mark.numeric

TARGETS = ["to_k", "to_q", "to_v", "to_out.0"]


def fill(unet) -> None:
    """LoRA weights other than at the start, where half of all gradients are zero."""
    source = torch.Generator().manual_seed(5)
    for parameter in adapter_parameters(unet):
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=source).double()


def both_unets(base: BaseModel) -> tuple[Unet, Unet]:
    """The base's UNet with a LoRA of ours, and with the script's own, of equal weights."""
    ours, theirs = load_unet(base, torch.float32), load_unet(base, torch.float32)
    add_lora(ours, match_targets(ours, TARGETS), rank=4, alpha=4, dropout=0.0, seed=0)
    theirs.add_adapter(
        LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=TARGETS)  # as in the script
    )
    for unet in (ours, theirs):
        fill(unet.train().double())  # so that only a difference of arithmetic shows, not of rounding
    return ours, theirs


def assert_same_gradients(ours: Unet, theirs: Unet, count: int) -> None:
    pairs = list(zip(ours.named_parameters(), theirs.named_parameters(), strict=True))
    gradients = [(name, mine.grad, other.grad) for (name, mine), (_, other) in pairs if mine.requires_grad]
    assert len(gradients) == count
    assert all(other.any() for _, _, other in gradients)
    mine, other = (torch.cat([g[i].flatten() for g in gradients]) for i in (1, 2))
    assert_same_function(mine, other, torch.float32)


def sdxl_scheduler() -> DDPMScheduler:
    return DDPMScheduler(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def scripts_step(unet, batch: Batch, prediction_type: str, snr_gamma: float | None, noise_offset: float):
    noise_scheduler = sdxl_scheduler()
    model_input, timesteps = batch.latents, batch.timesteps
    noise = batch.noise
    if noise_offset:
        noise = noise + noise_offset * batch.constants
    noisy_model_input = noise_scheduler.add_noise(model_input, noise, timesteps)
    original_size = (8 * model_input.shape[2], 8 * model_input.shape[3])
    crop = (0, 0)
    add_time_ids = torch.cat([torch.tensor([[*original_size, *crop, *original_size]]) for _ in timesteps])
    conditions = {"time_ids": add_time_ids, "text_embeds": batch.pooled}
    model_pred = unet(noisy_model_input, timesteps, batch.states, added_cond_kwargs=conditions, return_dict=False)[0]
    target = noise if prediction_type == "epsilon" else noise_scheduler.get_velocity(model_input, noise, timesteps)
    if snr_gamma is None:
        return functional.mse_loss(model_pred.float(), target.float(), reduction="mean")
    snr = compute_snr(noise_scheduler, timesteps)
    weights = torch.stack([snr, snr_gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0]
    weights = weights / (snr if prediction_type == "epsilon" else snr + 1)
    loss = functional.mse_loss(model_pred.float(), target.float(), reduction="none")
    loss = loss.mean(dim=list(range(1, len(loss.shape)))) * weights
    return loss.mean()


@pytest.mark.parametrize("prediction", [Prediction.epsilon, Prediction.v_prediction])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_loss_and_gradients_of_a_step_are_the_scripts(base: BaseModel, prediction: Prediction, gamma) -> None:
    ours, theirs = both_unets(base)
    batch = given_batch(ours)
    batch = Batch(*(x.double() if x.is_floating_point() else x for x in batch))
    weighting = Uniform() if gamma is None else MinSNR(gamma)
    # The script's schedule, whose rounding in fp32 moves the gradients by 1.6e-4 and would hide much.
    alphas = sdxl_scheduler().alphas_cumprod
    loss = Objective(alphas, prediction, weighting, noise_offset=0.05).loss(ours, batch)
    expected = scripts_step(theirs, batch, prediction.value, gamma, 0.05)
    loss.backward()
    expected.backward()
    with torch.no_grad():
        by_our_schedule = Objective(cumulative_alphas(), prediction, weighting, noise_offset=0.05).loss(ours, batch)
    assert_same_function(by_our_schedule, expected, torch.float32)
    assert loss.item() == pytest.approx(expected.item(), rel=rounding(2 * batch.latents.numel()))  # the loss is fp32
    assert_same_gradients(ours, theirs, 2 * len(match_targets(load_unet(base, torch.float32), TARGETS)))


@pytest.mark.parametrize(("width", "height"), [(192, 320), (320, 192), pytest.param(832, 1216, marks=pytest.mark.slow)])
def test_a_step_on_an_oblong_canvas_is_the_scripts(base: BaseModel, width: int, height: int) -> None:
    """The batch as a run makes it, time ids and all, of one sprite."""
    ours, theirs = both_unets(base)
    if width > 320:  # attention in double precision would not fit into memory
        ours, theirs = ours.float(), theirs.float()
    dtype = next(ours.parameters()).dtype
    given = given_batch(ours, height // 8, width // 8)
    text = TextEmbedding(given.states[0], given.pooled[0])
    encoded = EncodedSet([EncodedSprite("sprite.png", [EncodedView(given.latents[0], [text])])])
    batch = training_batch(encoded, 3, [0], 1000)
    batch = Batch(*(x.to(dtype) if x.is_floating_point() else x for x in batch))
    # Latents rounded to fp32 alone change this one sprite's gradient by 1e-3 at the drawn timestep, by 1e-4 at 100.
    batch = batch._replace(timesteps=torch.full_like(batch.timesteps, 100))
    assert batch.time_ids.tolist() == [[height, width, 0, 0, height, width]]
    alphas = sdxl_scheduler().alphas_cumprod
    loss = Objective(alphas, Prediction.epsilon, MinSNR(5.0), noise_offset=0.05).loss(ours, batch)
    expected = scripts_step(theirs, batch, "epsilon", 5.0, 0.05)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradients(ours, theirs, 2 * len(match_targets(load_unet(base, torch.float32), TARGETS)))
