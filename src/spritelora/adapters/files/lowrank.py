"""Changes of a weight as two thin factors: their size, their distance, sums and truncation.

Nothing here but `full_delta` forms the full matrix: all work is on matrices whose side is the rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.errors import WeightsError


@dataclass(frozen=True)
class LowRank:
    """The change up @ down * alpha / rank of one layer's weight.

    `down`: (rank, inputs) or of a convolution (rank, inputs, kh, kw). `up`: (outputs, rank) or (outputs, rank, 1, 1).
    """

    down: Tensor
    up: Tensor
    alpha: float

    kind = "LoRA"

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the layer's weight."""
        return (self.up.shape[0], *self.down.shape[1:])

    def to(self, dtype: torch.dtype) -> "LowRank":
        """The same with factors in another number format, on the CPU and contiguous."""
        down, up = (t.detach().to("cpu", dtype, copy=True).contiguous() for t in (self.down, self.up))
        return LowRank(down, up, self.alpha)


def full_delta(change: LowRank) -> Tensor:
    """The change as a matrix in the weight's shape, fp32."""
    product = change.up.float().flatten(1) @ change.down.float().flatten(1)
    return product.view(change.shape) * (change.alpha / change.rank)


def size(change: LowRank) -> float:
    """The Frobenius norm of the change, from the factors' Gram matrices in float64: right to 1e-8 of the factors.

    Of factors that are not thin, from their product, which is then the smaller.
    """
    up, down = change.up.double().flatten(1), change.down.double().flatten(1)
    if change.rank > min(up.shape[0], down.shape[1]):
        norm = float((up @ down).norm())
    else:
        norm = float(((up.T @ up) * (down @ down.T)).sum().clamp(min=0).sqrt())
    return norm * abs(change.alpha) / change.rank


def distance(one: LowRank, other: LowRank) -> float:
    """The Frobenius norm of the difference of two changes of the same layer."""
    return size(_stack([(one, 1.0), (other, -1.0)], torch.float64))


def add(parts: Sequence[tuple[LowRank, float]]) -> LowRank:
    """The sum of changes of one layer, each times its strength, in fp32: their ranks add up.

    One part alone keeps its factors. Raises WeightsError where the shapes differ, or a strength is 0.
    """
    shapes = {change.shape for change, _ in parts}
    if len(shapes) > 1:
        raise WeightsError(f"shapes {' and '.join(str(s) for s in sorted(shapes))}")
    if any(strength == 0 for _, strength in parts):
        raise WeightsError("a strength of 0 leaves nothing to write")
    if len(parts) == 1:
        change, strength = parts[0]
        alpha = strength * change.alpha
        # A negative alpha would be right, but diffusers' reader looks for the root of it for ever.
        return LowRank(change.down, -change.up if alpha < 0 else change.up, abs(alpha))
    return _stack(parts, torch.float32)


def _stack(parts: Sequence[tuple[LowRank, float]], dtype: torch.dtype) -> LowRank:
    downs, ups = [], []
    for change, strength in parts:
        weight = strength * change.alpha / change.rank
        root = abs(weight) ** 0.5
        downs.append(change.down.to(dtype) * root)
        ups.append(change.up.to(dtype) * (root if weight > 0 else -root))
    down = torch.cat(downs)
    return LowRank(down, torch.cat(ups, 1), float(down.shape[0]))


def even_alphas(modules: Mapping[str, LowRank]) -> dict[str, LowRank]:
    """The same changes with one alpha for all: the largest rank.

    diffusers (0.42) passes over alphas of single modules in a kohya file, though not over their ranks.
    """
    alphas = {change.alpha for change in modules.values()}
    if len(alphas) == 1:
        return dict(modules)
    alpha = float(max(change.rank for change in modules.values()))
    roots = {name: (change.alpha / alpha) ** 0.5 for name, change in modules.items()}
    return {
        name: LowRank(change.down.float() * roots[name], change.up.float() * roots[name], alpha)
        for name, change in modules.items()
    }


def truncate(change: LowRank, rank: int) -> LowRank:
    """The closest change of at most `rank`, in fp32, alpha equal to its rank (Eckart and Young 1936)."""
    left, core, right = _core(change)
    u, s, v = torch.linalg.svd(core)
    kept = min(rank, s.shape[0])
    root = s[:kept].sqrt()
    up, down = (left @ (u[:, :kept] * root)).float(), ((root[:, None] * v[:kept]) @ right.T).float()
    up_shape = (change.shape[0], kept, *change.up.shape[2:])
    return LowRank(down.view(kept, *change.shape[1:]), up.view(up_shape), float(kept))


def _core(change: LowRank) -> tuple[Tensor, Tensor, Tensor]:
    """Orthonormal columns, a small matrix, orthonormal columns: change = left @ core @ right.T, in float64."""
    left, upper = torch.linalg.qr(change.up.double().flatten(1))
    right, lower = torch.linalg.qr(change.down.double().flatten(1).T)
    return left, upper @ lower.T * (change.alpha / change.rank), right
