"""Shaped noise and drawn timesteps: laws of distribution, and independence of neighbours and history."""

import math

import pytest
import torch

from spritelora.diffusion.draws import draw_training_noise, generator, happens
from spritelora.diffusion.noise import NoiseRecipe, add_pyramid
from spritelora.diffusion.timesteps import Band, LogitNormal, Timesteps, Uniform
from spritelora.errors import ConfigError
from tests.bounds import assert_within, rounding

pytestmark = pytest.mark.numeric


def drawn(timesteps: Timesteps, count: int = 4000) -> torch.Tensor:
    return torch.stack([timesteps(1000, generator(0, "t", i)) for i in range(count)]).float()


def test_pyramid_noise_has_unit_spread_and_more_of_what_is_coarse() -> None:
    plain = torch.randn(200, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    recipe = NoiseRecipe(pyramid_levels=6, pyramid_discount=0.8)
    shaped = torch.stack([recipe.shape(noise, 0, i) for i, noise in enumerate(plain)])
    # Divided by a deviation that is a sum over all cells in fp32; here it is summed in float64.
    assert_within(shaped.double().flatten(1).std(dim=1), torch.ones(200), rounding(2 * plain[0].numel()))
    coarse = [x.mean(dim=(2, 3)).std() for x in (plain, shaped)]
    assert float(coarse[0]) == pytest.approx(1 / 16, rel=0.15)
    assert float(coarse[1]) > 3 * float(coarse[0])


def test_the_pyramid_stops_at_one_cell_and_zero_levels_are_the_noise_itself() -> None:
    noise = torch.randn(4, 8, 8)
    assert NoiseRecipe().shape(noise, 0, 0) is noise
    many, few = (add_pyramid(noise, levels, 0.5, generator(0, "pyramid", 0)) for levels in (50, 10))
    assert torch.equal(many, few)


def test_one_level_adds_noise_of_the_same_fineness() -> None:
    noise = torch.randn(4, 8, 8)
    source = generator(0, "pyramid", 3)
    torch.rand((), generator=source)
    other = torch.randn((1, 4, 8, 8), generator=source)[0]
    both = noise.double() + other.double()
    expected = both / both.std()
    assert_within(NoiseRecipe(1, 0.3).shape(noise, 0, 3), expected, rounding(2 * noise.numel()) * expected.abs().max())


def test_jitter_is_noise_of_its_size_and_of_its_own() -> None:
    noise = torch.randn(4, 32, 32, generator=torch.Generator().manual_seed(0))
    jitter = NoiseRecipe(perturbation=0.1).jitter(noise, 0, 7)
    assert float(jitter.std()) == pytest.approx(0.1, rel=0.05)
    assert abs(float(torch.corrcoef(torch.stack([jitter.flatten(), noise.flatten()]))[0, 1])) < 0.05
    assert not NoiseRecipe().jitter(noise, 0, 7).any()


def test_logit_normal_timesteps_have_their_quartiles() -> None:
    timesteps = drawn(LogitNormal(0.3, 0.8))
    for share, z in ((0.25, -0.67449), (0.5, 0.0), (0.75, 0.67449)):
        expected = 1000 / (1 + math.exp(-(0.3 + 0.8 * z)))
        assert float(timesteps.quantile(share)) == pytest.approx(expected, abs=15)
    assert (float(drawn(LogitNormal(20.0), 50).max()), float(drawn(LogitNormal(-20.0), 50).min())) == (999, 0)


def test_a_band_holds_and_fills() -> None:
    timesteps = drawn(Band(400, 410), 400)
    assert sorted(timesteps.unique().tolist()) == list(range(400, 410))


@pytest.mark.parametrize(("first", "last"), [(500, 500), (900, 100)])
def test_an_empty_band_is_refused(first: int, last: int) -> None:
    with pytest.raises(ConfigError, match=rf"no timestep lies in \[{first}, {last}\)"):
        Band(first, last)


def test_a_band_beyond_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"timesteps\.last=2000: the model has 1000 timesteps"):
        Band(0, 2000)(1000, torch.Generator())


def test_how_timesteps_are_drawn_moves_no_other_number() -> None:
    plain = draw_training_noise(3, 17, (4, 8, 8), 1000)
    for timesteps in (Uniform(), LogitNormal(), Band(10, 20)):
        noise, constants, timestep = draw_training_noise(3, 17, (4, 8, 8), 1000, timesteps)
        assert (torch.equal(noise, plain[0]), torch.equal(constants, plain[1])) == (True, True)
        assert (timestep.dtype, timestep.shape) == (plain[2].dtype, plain[2].shape)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_what_happens_to_a_share_happens_that_often(share: float) -> None:
    times = sum(happens(0, "x", position, share) for position in range(5000))
    assert times == pytest.approx(5000 * share, abs=5 * math.sqrt(5000 * share * (1 - share)))
