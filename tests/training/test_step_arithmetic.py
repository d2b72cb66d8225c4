"""One step's loss: weights of samples enter where they should, and nothing waits for a device."""

from dataclasses import replace

import pytest
import torch

from spritelora.config.train.schema import Prediction
from spritelora.data.batch import Batch
from spritelora.diffusion.losses import Huber, SmoothL1
from spritelora.diffusion.schedule import cumulative_alphas, signal_to_noise, to_zero_terminal_snr
from spritelora.diffusion.weighting import Debiased, MinSNR, Uniform
from spritelora.sdxl.files.base import BaseModel, empty_unet
from spritelora.training.module import Objective
from tests.bounds import rounding
from tests.training.test_training import given_batch

pytestmark = pytest.mark.numeric


def masked_batch(unet) -> Batch:
    masks = torch.zeros(4, 1, 16, 16)
    for i, side in enumerate((2, 5, 11, 16)):
        masks[i, :, :side, :side] = 1
    return given_batch(unet)._replace(masks=masks)


def sample(batch: Batch, i: int) -> Batch:
    return Batch(*(x[i : i + 1] if len(x) == len(batch.indices) else x for x in batch))


@torch.no_grad()
def test_the_loss_is_the_mean_of_the_samples_losses_times_their_weights(unet) -> None:
    """The UNet in float64, so that a batch gives what its samples give; the loss itself is a mean in fp32."""
    unet.double()
    objective = Objective(cumulative_alphas(), Prediction.epsilon, MinSNR(5.0), 0.05)
    batch, weights = masked_batch(unet), torch.tensor([1.0, 0.25, 3.0, 0.5])
    alone = torch.stack([objective.loss(unet, sample(batch, i)) for i in range(4)])
    weighted = objective.loss(unet, batch._replace(weights=weights))
    means = rounding(2 * batch.latents.numel())  # of all terms above zero, on both sides
    assert float(weighted) == pytest.approx(float((alone * weights).double().mean()), rel=means)
    ones = objective.loss(unet, batch._replace(weights=torch.ones(4)))
    assert torch.equal(ones, objective.loss(unet, batch))


@torch.no_grad()
def test_the_validation_loss_knows_no_weights(unet) -> None:
    objective = Objective(cumulative_alphas(), Prediction.epsilon, MinSNR(5.0), 0.0)
    batch = given_batch(unet)
    assert torch.equal(
        objective.plain_loss(unet, batch), objective.plain_loss(unet, batch._replace(weights=2 * torch.ones(4)))
    )


@pytest.mark.parametrize("weighting", [Uniform(), MinSNR(5.0), MinSNR(0.3), Debiased()])
@pytest.mark.parametrize("prediction", [Prediction.epsilon, Prediction.v_prediction])
@torch.no_grad()
def test_what_is_looked_up_by_timestep_is_what_the_schedule_gives_there(
    unet, weighting, prediction: Prediction
) -> None:
    """A constant error of 1 leaves the weights alone, here computed in fp64 for the batch's own timesteps."""

    def constant(difference: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.ones_like(difference)

    batch = given_batch(unet)
    alphas = cumulative_alphas()[batch.timesteps]
    expected = weighting(signal_to_noise(alphas), prediction).float().mean()
    objective = Objective(cumulative_alphas(), prediction, weighting, 0.0, error=constant)
    assert torch.equal(objective.loss(unet, batch), expected)


def test_a_step_copies_nothing_back_to_the_host(base: BaseModel, unet) -> None:
    """On the meta device, which holds no numbers, `.cpu()`, `.item()` and branches on values raise."""
    batch = Batch(*(x.to("meta") for x in masked_batch(unet)))
    on_meta = empty_unet(base).to("meta").requires_grad_()
    zero_snr = Objective(to_zero_terminal_snr(cumulative_alphas()), Prediction.v_prediction, MinSNR(5.0), 0.05, 0.01)
    for error in (SmoothL1(schedule="exponential"), Huber()):
        objective = replace(zero_snr, error=error, unmasked_weight=0.1)
        loss = objective.loss(on_meta, batch)
    loss.backward()
    assert all(p.grad is not None for p in on_meta.parameters())
    with pytest.raises(NotImplementedError):
        batch.timesteps.cpu()
    with pytest.raises(RuntimeError):
        batch.weights.sum().item()
