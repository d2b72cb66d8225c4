"""Sums, sizes and truncation of factors, against the full matrices."""

import pytest
import torch

from spritelora.adapters.lowrank import LowRank, add, distance, even_alphas, full_delta, size, truncate
from spritelora.errors import WeightsError


def change(seed: int, rank: int, alpha: float, inputs: tuple[int, ...] = (24,), outputs: int = 40) -> LowRank:
    noise = torch.Generator().manual_seed(seed)
    up_shape = (outputs, rank, *([1] * (len(inputs) - 1)))
    return LowRank(torch.randn(rank, *inputs, generator=noise), torch.randn(up_shape, generator=noise), alpha)


SHAPES = pytest.mark.parametrize("inputs", [(24,), (6, 3, 3)])


@SHAPES
def test_sizes_and_distances_are_the_full_matrices(inputs: tuple[int, ...]) -> None:
    one, other = change(0, 4, 2, inputs), change(1, 6, 9, inputs)
    assert size(one) == pytest.approx(float(full_delta(one).norm()), rel=1e-6)
    assert distance(one, other) == pytest.approx(float((full_delta(one) - full_delta(other)).norm()), rel=1e-6)
    assert distance(one, one) <= 1e-7 * size(one)


@SHAPES
def test_a_sum_is_exact(inputs: tuple[int, ...]) -> None:
    one, other = change(0, 4, 2, inputs), change(1, 6, 9, inputs)
    total = add([(one, 0.8), (other, -0.5)])
    expected = 0.8 * full_delta(one) - 0.5 * full_delta(other)
    assert total.rank == 10
    assert torch.allclose(full_delta(total), expected, atol=1e-5)


@pytest.mark.parametrize("strength", [1.0, 0.5, -2.0])
@pytest.mark.parametrize("alpha", [3.0, -3.0])
def test_one_part_keeps_its_numbers(strength: float, alpha: float) -> None:
    one = change(0, 4, alpha)
    total = add([(one, strength)])
    assert torch.equal(total.down, one.down)
    assert torch.equal(total.up.abs(), one.up.abs())
    assert torch.allclose(full_delta(total), strength * full_delta(one))
    assert total.alpha > 0


@SHAPES
def test_truncation_is_the_best_that_svd_gives(inputs: tuple[int, ...]) -> None:
    whole = change(0, 8, 4, inputs)
    values = torch.linalg.svdvals(full_delta(whole).flatten(1).double())
    for rank in (1, 3, 8):
        cut = truncate(whole, rank)
        assert (cut.rank, cut.alpha, cut.shape) == (rank, rank, whole.shape)
        assert distance(whole, cut) == pytest.approx(float(values[rank:8].norm()), rel=1e-5, abs=1e-5)
    assert distance(whole, truncate(whole, 8)) <= 1e-7 * size(whole)


def test_a_sum_of_more_ranks_than_the_layer_has_is_truncated_to_what_it_has() -> None:
    total = add([(change(i, 16, 16), 1.0) for i in range(3)])
    assert (total.rank, truncate(total, 48).rank) == (48, 24)
    assert distance(total, truncate(total, 48)) <= 1e-7 * size(total)


def test_one_alpha_for_all_changes_nothing() -> None:
    modules = {"a": change(0, 4, 2), "b": change(1, 6, 9)}
    even = even_alphas(modules)
    assert {c.alpha for c in even.values()} == {6.0}
    assert all(distance(even[name], modules[name]) <= 1e-7 * size(modules[name]) for name in modules)


def test_layers_of_two_models_do_not_add_up() -> None:
    with pytest.raises(WeightsError, match=r"shapes \(40, 24\) and \(40, 25\)"):
        add([(change(0, 4, 2), 1.0), (change(0, 4, 2, (25,)), 1.0)])
    with pytest.raises(WeightsError, match="a strength of 0 leaves nothing"):
        add([(change(0, 4, 2), 0.0)])
