"""How far apart two computations of one number may lie: bounds from the arithmetic, never from what a processor gave.

Processors sum in other orders, fuse other operations and bring other kernels, so equal formulas round differently.
- Where both sides are the same operations in the same order, or whole numbers, they are equal to the bit.
- A known number of operations has its bound from that number: `rounding`.
- What has gone through a network has no bound that is of use: those of its layers multiply. Both sides are computed
  in float64 where they can be, and agree in half of the digits of the narrowest format on the way:
  `assert_same_function`. Rounding reaches the last digits (a few hundred steps of the format), a mistake the first.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spritelora.adapters.files.lowrank import LowRank
from spritelora.sprites.pixels.palette import TO_LAB


def rounding(num_operations: int, dtype: torch.dtype = torch.float32) -> float:
    """The relative error of so many operations one after another: n u / (1 - n u), u half of the format's epsilon.

    A sum or a product of matrices over n terms takes n operations in whatever order, relative to the sum of the
    terms' absolute values. Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, lemma 3.1.
    """
    error = num_operations * torch.finfo(dtype).eps / 2
    return error / (1 - error)


def half_the_digits(dtype: torch.dtype) -> float:
    """The relative distance of numbers that agree in half of the digits of a format: 1.5e-8 in float64."""
    return torch.finfo(dtype).eps ** 0.5


def assert_within(found: ArrayLike | Tensor, expected: ArrayLike | Tensor, bound: ArrayLike | Tensor) -> None:
    """Every |found - expected| is at most `bound`, one number or one for each element."""
    ours, theirs, most = (_array(x) for x in (found, expected, bound))
    assert ours.shape == theirs.shape, f"{ours.shape} and {theirs.shape}"
    far = np.abs(ours - theirs)
    worst = np.unravel_index(np.argmax(far - most), far.shape)
    told = f"{ours[worst]} and {theirs[worst]}, {far[worst]:.3g} apart, at {tuple(map(int, worst))}"
    assert (far <= most).all(), f"{told}: above {np.broadcast_to(most, far.shape)[worst]:.3g}"


def assert_same_function(
    ours: Tensor | ArrayLike, theirs: Tensor | ArrayLike, narrowest: torch.dtype = torch.float64
) -> None:
    """The same in half of the digits of the narrowest number format on the way, measured by the whole's norm."""
    found, expected = _array(ours), _array(theirs)
    assert found.shape == expected.shape, f"{found.shape} and {expected.shape}"
    far, whole = np.linalg.norm(found - expected), np.linalg.norm(expected)
    most = half_the_digits(narrowest)
    assert far <= most * whole, f"{far:.3g} apart of {whole:.3g}: {far / whole if whole else np.inf:.3g} > {most:.3g}"


def assert_same_pictures(ours: ArrayLike, theirs: ArrayLike) -> None:
    """8-bit images that differ by one step at most: rounding to codes takes a step where numbers lie at its edge.

    That leaves half a step, 2e-3 of the range, to fp32's arithmetic, whose half of the digits is 3.5e-4.
    """
    assert_within(ours, theirs, 1)


def oklab_error() -> np.ndarray:
    """What OKLab in fp32 may be off by, in lightness, a and b: (3,).

    Two sums over three products, of which the first are of numbers above zero, with a cube root in between.
    """
    return rounding(8) * np.abs(TO_LAB).sum(axis=1)


def exact_delta(change: LowRank) -> Tensor:
    """up @ down * alpha / rank in float64, in the weight's shape: exact but for 1e-15, for fp32 factors."""
    product = change.up.double().flatten(1) @ change.down.double().flatten(1)
    return product.view(change.shape) * (change.alpha / change.rank)


def magnitude(change: LowRank) -> Tensor:
    """The same of the factors' absolute values: what rounding of a factor, or in the product, is relative to."""
    return exact_delta(LowRank(change.down.abs(), change.up.abs(), abs(change.alpha)))


def stored_error(change: LowRank, dtype: torch.dtype) -> float:
    """The largest norm of what rounding both factors to a number format can move a change by.

    Each number by a unit of rounding, or, next to zero, by half of the format's smallest step.
    """
    info = torch.finfo(dtype)

    def wrong(factor: Tensor) -> Tensor:
        return factor.double().abs() * (1 + info.eps / 2) + info.smallest_normal * info.eps / 2

    moved = exact_delta(LowRank(wrong(change.down), wrong(change.up), abs(change.alpha)))
    return float((moved - magnitude(change)).norm())


def size_error(one: LowRank, other: LowRank) -> float:
    """What `distance` of two changes of a layer may be off by: it is the root of a sum in float64 of squares.

    The terms, over the inputs, the outputs and all pairs of ranks, are of the size of the factors' squared norms; where
    they cancel, the root of their rounding is left.
    """
    terms = one.down[0].numel() + one.up.shape[0] + (one.rank + other.rank) ** 2
    shares = [abs(c.alpha) / c.rank for c in (one, other)]
    ups, downs = (
        sum(s * float(f.double().square().sum()) for s, f in zip(shares, pair, strict=True))
        for pair in ((one.up, other.up), (one.down, other.down))
    )
    return (rounding(terms, torch.float64) * ups * downs) ** 0.5


def _array(values: ArrayLike | Tensor) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().double().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
