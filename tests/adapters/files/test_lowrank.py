"""Sums, sizes and truncation of factors, against the full matrices."""

import pytest
import torch

from spritelora.adapters.files.lowrank import LowRank, add, distance, even_alphas, full_delta, size, truncate
from spritelora.errors import WeightsError
from tests.bounds import assert_within, exact_delta, half_the_digits, magnitude, rounding, size_error, stored_error

pytestmark = pytest.mark.numeric


def change(seed: int, rank: int, alpha: float, inputs: tuple[int, ...] = (24,), outputs: int = 40) -> LowRank:
    noise = torch.Generator().manual_seed(seed)
    up_shape = (outputs, rank, *([1] * (len(inputs) - 1)))
    return LowRank(torch.randn(rank, *inputs, generator=noise), torch.randn(up_shape, generator=noise), alpha)


SHAPES = pytest.mark.parametrize("inputs", [(24,), (6, 3, 3)])


@SHAPES
def test_sizes_and_distances_are_the_full_matrices(inputs: tuple[int, ...]) -> None:
    one, other = change(0, 4, 2, inputs), change(1, 6, 9, inputs)
    same = half_the_digits(torch.float64)
    assert size(one) == pytest.approx(float(exact_delta(one).norm()), rel=same)
    assert distance(one, other) == pytest.approx(float((exact_delta(one) - exact_delta(other)).norm()), rel=same)
    assert distance(one, one) <= size_error(one, one)


@pytest.mark.parametrize("rank", [23, 24, 25, 90])
def test_the_size_of_factors_that_are_not_thin_is_the_full_matrix_too(rank: int) -> None:
    one = change(0, rank, 3)
    assert size(one) == pytest.approx(float(exact_delta(one).norm()), rel=half_the_digits(torch.float64))


@SHAPES
def test_the_full_matrix_is_the_product_over_the_rank(inputs: tuple[int, ...]) -> None:
    one = change(0, 4, 3, inputs)
    assert_within(full_delta(one), exact_delta(one), rounding(one.rank + 2) * magnitude(one))


@SHAPES
def test_a_sum_is_exact(inputs: tuple[int, ...]) -> None:
    one, other = change(0, 4, 2, inputs), change(1, 6, 9, inputs)
    total = add([(one, 0.8), (other, -0.5)])
    assert total.rank == 10
    # Each factor is multiplied by a root in fp32; what is written is then exact.
    bound = rounding(4) * (0.8 * magnitude(one) + 0.5 * magnitude(other))
    assert_within(exact_delta(total), 0.8 * exact_delta(one) - 0.5 * exact_delta(other), bound)


@pytest.mark.parametrize("strength", [1.0, 0.5, -2.0])
@pytest.mark.parametrize("alpha", [3.0, -3.0])
def test_one_part_keeps_its_numbers(strength: float, alpha: float) -> None:
    one = change(0, 4, alpha)
    total = add([(one, strength)])
    assert torch.equal(total.down, one.down)
    assert torch.equal(total.up.abs(), one.up.abs())
    assert_within(exact_delta(total), strength * exact_delta(one), rounding(4, torch.float64) * 2 * magnitude(one))
    assert total.alpha > 0


@SHAPES
def test_truncation_is_the_best_that_svd_gives(inputs: tuple[int, ...]) -> None:
    whole = change(0, 8, 4, inputs)
    values = torch.linalg.svdvals(exact_delta(whole).flatten(1))
    for rank in (1, 3, 8):
        cut = truncate(whole, rank)
        assert (cut.rank, cut.alpha, cut.shape) == (rank, rank, whole.shape)
        bound = stored_error(cut, torch.float32) + size_error(whole, cut)  # what is left out is orthogonal to the rest
        assert distance(whole, cut) == pytest.approx(float(values[rank:8].norm()), rel=0, abs=bound)


def test_a_sum_of_more_ranks_than_the_layer_has_is_truncated_to_what_it_has() -> None:
    total = add([(change(i, 16, 16), 1.0) for i in range(3)])
    assert (total.rank, truncate(total, 48).rank) == (48, 24)
    whole = truncate(total, 48)
    assert distance(total, whole) <= stored_error(whole, torch.float32) + size_error(total, whole)


def test_one_alpha_for_all_changes_nothing() -> None:
    modules = {"a": change(0, 4, 2), "b": change(1, 6, 9)}
    even = even_alphas(modules)
    assert {c.alpha for c in even.values()} == {6.0}
    for name, one in modules.items():  # each factor is multiplied by a root in fp32, which is rounded as storing is
        assert distance(even[name], one) <= 2 * stored_error(one, torch.float32) + size_error(one, one)


def test_layers_of_two_models_do_not_add_up() -> None:
    with pytest.raises(WeightsError, match=r"shapes \(40, 24\) and \(40, 25\)"):
        add([(change(0, 4, 2), 1.0), (change(0, 4, 2, (25,)), 1.0)])
    with pytest.raises(WeightsError, match="a strength of 0 leaves nothing"):
        add([(change(0, 4, 2), 0.0)])
