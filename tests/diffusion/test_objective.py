"""The maths agrees with published values and with diffusers' schedulers."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers.scheduling_ddpm import rescale_zero_terminal_snr

from spritelora.config.train.schema import Prediction
from spritelora.diffusion.draws import draw_band_noise, draw_training_noise, generator, sample_order
from spritelora.diffusion.noise import offset_noise
from spritelora.diffusion.objective import add_noise, prediction_target, weighted_loss
from spritelora.diffusion.schedule import cumulative_alphas, signal_to_noise, to_zero_terminal_snr
from spritelora.diffusion.weighting import Debiased, MinSNR, Uniform
from tests.bounds import assert_within, rounding

pytestmark = pytest.mark.numeric

GOLDEN = [
    (0, 0.99915000, 1175.47, 0.004254, 0.004250, 0.031623),
    (250, 0.67379263, 2.06553, 1.0, 0.673793, 0.695799),
    (500, 0.27633268, 0.38185, 1.0, 0.276333, 1.618279),
    (999, 0.00466010, 0.00468192, 1.0, 0.004660, 14.614641),
]
"""Bounds on them are half of the last digit written: the schedule is in float64."""


@pytest.mark.parametrize(("t", "abar", "snr", "min_snr_eps", "min_snr_v", "debiased"), GOLDEN)
def test_schedule_and_weightings_have_their_golden_values(
    t: int, abar: float, snr: float, min_snr_eps: float, min_snr_v: float, debiased: float
) -> None:
    alphas = cumulative_alphas()[t : t + 1]
    assert float(alphas) == pytest.approx(abar, abs=5e-9)
    ratio = signal_to_noise(alphas)
    assert float(ratio) == pytest.approx(snr, rel=5e-6)
    assert float(MinSNR(5.0)(ratio, Prediction.epsilon)) == pytest.approx(min_snr_eps, abs=5e-7)
    assert float(MinSNR(5.0)(ratio, Prediction.v_prediction)) == pytest.approx(min_snr_v, abs=5e-7)
    assert float(Debiased()(ratio, Prediction.epsilon)) == pytest.approx(debiased, abs=5e-7)
    assert float(Debiased()(ratio, Prediction.v_prediction)) == pytest.approx(max(1 - abar, 1 / 1001), abs=5e-9)
    assert float(Uniform()(ratio, Prediction.epsilon)) == float(Uniform()(ratio, Prediction.v_prediction)) == 1.0


def sdxl_scheduler() -> DDPMScheduler:
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def test_noising_and_velocity_equal_diffusers() -> None:
    """The formulas in float64, on diffusers' schedule; that one, a product in fp32, against ours by its operations."""
    torch.manual_seed(0)
    latents, noise = torch.randn(2, 8, 4, 16, 16, dtype=torch.float64)
    timesteps = torch.tensor([0, 1, 100, 250, 500, 750, 998, 999])
    scheduler = sdxl_scheduler()
    ours = cumulative_alphas()
    bound = torch.tensor([rounding(4 * n) for n in range(1, 1001)])  # a step, a square, 1 - beta and a product for each
    assert_within(scheduler.alphas_cumprod, ours, bound * ours)
    alphas = scheduler.alphas_cumprod[timesteps].double()
    bound = rounding(6, torch.float64) * (latents.abs() + noise.abs())
    assert_within(add_noise(latents, noise, alphas), scheduler.add_noise(latents, noise, timesteps), bound)
    velocity = prediction_target(latents, noise, alphas, Prediction.v_prediction)
    assert_within(velocity, scheduler.get_velocity(latents, noise, timesteps), bound)
    assert prediction_target(latents, noise, alphas, Prediction.epsilon) is noise


def test_the_loss_is_weighted_after_the_mean_over_each_sample() -> None:
    target = torch.zeros(2, 4, 3, 3)
    predicted = torch.stack([torch.full((4, 3, 3), 2.0), torch.full((4, 3, 3), 3.0)])
    errors = (predicted - target).square()
    loss = weighted_loss(errors, torch.ones(2, 1, 1, 1), torch.tensor([0.5, 0.1]))
    assert float(loss) == pytest.approx((0.5 * 4 + 0.1 * 9) / 2, rel=rounding(5))  # the means are of whole numbers


@pytest.mark.parametrize("area", [1, 5, 64])
def test_the_masked_loss_of_a_constant_error_does_not_depend_on_the_mask(area: int) -> None:
    mask = torch.zeros(64)
    mask[torch.randperm(64, generator=torch.Generator().manual_seed(area))[:area]] = torch.linspace(0.3, 1, area)
    masks = torch.stack([mask.view(1, 8, 8), torch.ones(1, 8, 8)]).double()
    constant = torch.full((2, 4, 8, 8), 0.7, dtype=torch.float64)
    unmasked = weighted_loss(constant, torch.ones(2, 1, 1, 1), torch.ones(2))
    means = rounding(3 * constant[0].numel(), torch.float64)
    assert float(weighted_loss(constant, masks, torch.ones(2))) == pytest.approx(float(unmasked), rel=means)


def test_what_lies_outside_the_mask_does_not_count() -> None:
    errors, mask = torch.rand(1, 4, 8, 8).double(), torch.zeros(1, 1, 8, 8).double()
    mask[..., 2:5, 1:7] = 1
    wild = torch.where(mask.bool(), errors, 1e6)
    expected, means = errors[..., 2:5, 1:7].mean(), rounding(3 * errors.numel(), torch.float64)
    assert float(weighted_loss(wild, mask, torch.ones(1))) == pytest.approx(float(expected), rel=means)


def test_zero_terminal_snr_is_that_of_diffusers() -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), dim=0)
    ours = to_zero_terminal_snr(cumulative_alphas())
    # Theirs goes by way of 1 - beta, near 1, and a product of up to 1000 of them.
    assert_within(ours, theirs, rounding(4 * 1000, torch.float64) * theirs + torch.finfo(torch.float64).eps)
    first = pytest.approx(float(cumulative_alphas()[0]), rel=rounding(8, torch.float64))
    assert (float(ours[0]), float(ours[-1])) == (first, 0.0)


def test_velocity_of_noise_alone_is_the_picture() -> None:
    """v = alpha n - sigma x; with x_t it gives back both: x = alpha x_t - sigma v, n = sigma x_t + alpha v."""
    latents, noise = torch.randn(3, 4, 8, 8).double(), torch.randn(3, 4, 8, 8).double()
    alphas = to_zero_terminal_snr(cumulative_alphas())[torch.tensor([0, 400, 999])]
    noisy = add_noise(latents, noise, alphas)
    velocity = prediction_target(latents, noise, alphas, Prediction.v_prediction)
    signal, spread = (part.sqrt().view(-1, 1, 1, 1) for part in (alphas, 1 - alphas))
    bound = rounding(12, torch.float64) * (latents.abs() + noise.abs())
    assert_within(signal * noisy - spread * velocity, latents, bound)
    assert_within(spread * noisy + signal * velocity, noise, bound)
    assert torch.equal(velocity[2], -latents[2])


def test_noise_offset_is_one_constant_for_each_channel() -> None:
    noise, constants = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 1, 1)
    latents = torch.randn(2, 4, 8, 8)
    shifted = offset_noise(noise, constants, 0.05, latents)
    offset = (0.05 * constants).expand_as(noise)
    assert_within(shifted - noise, offset, rounding(4) * (noise.abs() + offset.abs()))
    assert torch.equal(offset_noise(noise, constants, 0.0, latents), noise)


def test_adaptive_noise_offset_follows_the_mean_of_the_latents() -> None:
    noise, constants = torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 1, 1)
    latents = torch.tensor([0.0, 2.0, -2.0, 1.0]).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    grown = offset_noise(noise, constants, 0.05, latents, adaptive=0.1)
    bound = rounding(5) * 0.25  # the means are of equal numbers; a product, a sum, a product of numbers up to 0.25
    assert grown[0, :, 3, 3].tolist() == pytest.approx([0.05, 0.25, 0.25, 0.15], rel=0, abs=bound)
    lowered = offset_noise(noise, constants, 0.05, latents, adaptive=-0.03)
    assert lowered[0, :, 3, 3].tolist() == pytest.approx([0.05, 0.0, 0.0, 0.02], rel=0, abs=bound)


def test_draws_depend_on_their_arguments_alone() -> None:
    torch.manual_seed(1)
    first = draw_training_noise(3, 17, (4, 8, 8), 1000)
    torch.manual_seed(2)
    again = draw_training_noise(3, 17, (4, 8, 8), 1000)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for seed, position in ((4, 17), (3, 18)):
        assert not torch.equal(first[0], draw_training_noise(seed, position, (4, 8, 8), 1000)[0])
    assert not torch.equal(
        torch.randn(4, generator=generator(0, "a", 0)), torch.randn(4, generator=generator(0, "b", 0))
    )


def test_draws_are_normal_and_uniform() -> None:
    draws = [draw_training_noise(0, i, (4, 8, 8), 1000) for i in range(2000)]
    noise = torch.stack([d[0] for d in draws])
    timesteps = torch.stack([d[2] for d in draws]).float()
    assert abs(float(noise.mean())) < 0.01
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert float(timesteps.mean()) == pytest.approx(499.5, abs=25)
    assert (float(timesteps.min()) < 10, float(timesteps.max()) > 989) == (True, True)


def test_every_pass_is_a_new_permutation() -> None:
    orders = [sample_order(0, epoch, 50) for epoch in range(3)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(orders[0], orders[1])


def test_band_noise_stays_in_its_band() -> None:
    timesteps = [int(draw_band_noise(i, (4, 2, 2), (250, 500))[1]) for i in range(300)]
    assert (min(timesteps) >= 250, max(timesteps) < 500) == (True, True)
