"""Changes of a weight of every kind that is trained here, by the formulas of the programs that read them.

Source of the formulas: `comfy/weight_adapter` of ComfyUI, `lycoris/modules` of LyCORIS, which agree on LoKr and LoHa.
Of DoRA, with lengths of outputs, they do not: ComfyUI divides by the norms of the base's rows, LyCORIS and PEFT by
those of the changed rows. A file in kohya's form is what ComfyUI reads, so its `dora_scale` is for ComfyUI's formula.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

import torch
from torch import Tensor

from spritelora.adapters.files.lowrank import LowRank, full_delta, size
from spritelora.errors import WeightsError

LOKR, LOHA, DORA = "LoKr", "LoHa", "DoRA"
HALF_STEP = {torch.float16: 2.0**-25, torch.bfloat16: 0.0, torch.float32: 0.0}
"""The rounding error of numbers near zero: fp16 has no smaller steps than 2^-24."""


@dataclass(frozen=True)
class Lycoris:
    """A LoKr or LoHa of one layer: its tensors by the names they have in files, without the module's."""

    kind: str
    tensors: Mapping[str, Tensor]
    alpha: float

    @property
    def rank(self) -> int:
        """That of the inner products; where a LoKr is two full matrices, what its alpha says, for then it is unused."""
        inner = next((t for name, t in self.tensors.items() if name.endswith("_b")), None)
        if inner is not None:
            return inner.shape[0]
        return round(self.alpha) if isfinite(self.alpha) else 1

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the change as a matrix, (outputs, inputs times the kernel)."""
        (first, second) = self.factor_shapes()
        if self.kind == LOHA:
            return first
        return first[0] * second[0], first[1] * second[1]

    def to(self, dtype: torch.dtype) -> "Lycoris":
        """The same in another number format, on the CPU and contiguous."""
        return replace(self, tensors={n: _moved(t, dtype) for n, t in self.tensors.items()})

    def matrix(self, of: Callable[[Tensor], Tensor] = Tensor.float) -> Tensor:
        """The change in the shape that the format gives it, of tensors as `of` makes them."""
        t = {name: of(tensor) for name, tensor in self.tensors.items()}
        if self.kind == LOHA:
            first, second = (_product(t, f"hada_w{i}", f"hada_t{i}") for i in (1, 2))
            return first * second * self.scale
        w1, w2 = _product(t, "lokr_w1", ""), _product(t, "lokr_w2", "lokr_t2")
        return torch.kron(w1[..., None, None] if w2.ndim == 4 else w1, w2.contiguous()) * self.scale

    def factor_shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The shapes of its two matrices. Raises KeyError, RuntimeError, IndexError or ValueError for other parts."""
        t = {name: torch.empty(tensor.shape, device="meta") for name, tensor in self.tensors.items()}
        begin, cores = ("hada_w", ("hada_t1", "hada_t2")) if self.kind == LOHA else ("lokr_w", ("", "lokr_t2"))
        products = [_product(t, f"{begin}{i}", core) for i, core in zip((1, 2), cores, strict=True)]
        if {p.ndim for p in products} - {2, 4} or (self.kind == LOKR and products[0].ndim != 2):
            raise ValueError("no matrices")
        first, second = ((p.shape[0], p[0].numel()) for p in products)
        if self.kind == LOHA and products[0].shape != products[1].shape:
            raise ValueError(f"{first} and {second} are not of one shape")
        return first, second

    def size(self) -> float:
        """The Frobenius norm of the change: of a Kronecker product, that of its factors multiplied."""
        if self.kind == LOHA:
            return float(self.matrix().norm())
        t = {name: tensor.float() for name, tensor in self.tensors.items()}
        first, second = _product(t, "lokr_w1", ""), _product(t, "lokr_w2", "lokr_t2")
        return float(first.norm()) * float(second.norm()) * abs(self.scale)


@dataclass(frozen=True)
class Decomposed:
    """A DoRA of one layer: the change of its directions, and the lengths of its outputs' weights, (outputs,).

    `of_changed`: whether lengths are over the norms of the changed rows (PEFT) or of the base's (ComfyUI).
    """

    change: LowRank
    lengths: Tensor
    of_changed: bool

    kind = DORA

    @property
    def rank(self) -> int:
        return self.change.rank

    @property
    def alpha(self) -> float:
        return self.change.alpha

    @property
    def shape(self) -> tuple[int, ...]:
        return self.change.shape

    def to(self, dtype: torch.dtype) -> "Decomposed":
        """The same with factors in another number format; lengths stay fp32, like alpha."""
        return replace(self, change=self.change.to(dtype), lengths=_moved(self.lengths, torch.float32))

    def stretch(self, weight: Tensor) -> Tensor:
        """The factor of each row of the base and of the change, (outputs,) fp32."""
        rows = weight.float().flatten(1)
        if self.of_changed:
            rows = rows + full_delta(self.change).to(weight.device).flatten(1)
        return self.lengths.float().to(weight.device) / rows.norm(dim=1)

    def over_base(self, weight: Tensor) -> "Decomposed":
        """The same with lengths for ComfyUI's formula."""
        if not self.of_changed:
            return self
        lengths = self.stretch(weight) * weight.float().flatten(1).norm(dim=1)
        return replace(self, lengths=lengths, of_changed=False)


Change = LowRank | Lycoris | Decomposed


def difference(change: Change, weight: Tensor) -> Tensor:
    """The tensor that a reader adds to a layer's weight, in its shape, fp32; DoRA's on the weight's device."""
    if isinstance(change, LowRank):
        return full_delta(change).view(weight.shape)
    if isinstance(change, Lycoris):
        return change.matrix().reshape(weight.shape)
    stretch = change.stretch(weight).view(-1, *[1] * (weight.ndim - 1))
    return (stretch - 1) * weight.float() + stretch * full_delta(change.change).view(weight.shape).to(weight.device)


def change_size(change: Change) -> float:
    """The Frobenius norm of a change; of a DoRA that of its directions' alone, for lengths are relative to the base."""
    if isinstance(change, LowRank):
        return size(change)
    return size(change.change) if isinstance(change, Decomposed) else change.size()


def parts_of(change: Change) -> dict[str, Tensor]:
    """The tensors of a change in kohya's form by the ends of their names, alpha included."""
    alpha = torch.tensor(change.alpha, dtype=torch.float32)
    if isinstance(change, Lycoris):
        return {**change.tensors, "alpha": alpha}
    if isinstance(change, LowRank):
        return {"lora_down.weight": change.down, "lora_up.weight": change.up, "alpha": alpha}
    lengths = change.lengths.view(-1, *[1] * (change.change.down.ndim - 1))
    return {**parts_of(change.change), "dora_scale": lengths}


def rounding_bound(change: LowRank, dtype: torch.dtype) -> float:
    """The largest distance that rounding both factors to a number format can cause."""
    down_norm, up_norm = float(change.down.float().norm()), float(change.up.float().norm())
    relative = 2 * torch.finfo(dtype).eps * down_norm * up_norm
    near_zero = HALF_STEP[dtype] * (change.up.numel() ** 0.5 * down_norm + change.down.numel() ** 0.5 * up_norm)
    return abs(change.alpha) / change.rank * (relative + near_zero)


def rounding_error(change: Change, weight: Tensor, dtype: torch.dtype) -> float:
    """The largest distance that rounding the tensors of a change to a number format can cause.

    LoKr's and LoHa's formulas are sums of products, so it is what they give for absolute values with errors, less that
    without.
    """
    if isinstance(change, LowRank):
        return rounding_bound(change, dtype)
    if isinstance(change, Decomposed):
        return rounding_bound(change.change, dtype) * float(change.stretch(weight).abs().max())

    def exact(tensor: Tensor) -> Tensor:
        return tensor.double().abs()

    def wrong(tensor: Tensor) -> Tensor:
        return exact(tensor) * (1 + torch.finfo(dtype).eps / 2) + HALF_STEP[dtype]

    return float((change.matrix(wrong) - change.matrix(exact)).norm())


def read_parts(where: str, kind: str, parts: Mapping[str, Tensor]) -> Lycoris:
    """A LoKr or LoHa from the tensors of a module; alpha equal to the rank where there is none, as readers take it.

    Raises WeightsError where parts of it are missing or do not fit together.
    """
    tensors = {name: tensor for name, tensor in parts.items() if name.startswith(("lokr_", "hada_"))}
    found = Lycoris(kind, tensors, float(parts["alpha"]) if "alpha" in parts else 1.0)
    try:
        found = found if "alpha" in parts else replace(found, alpha=float(found.rank))
        found.factor_shapes()
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        raise WeightsError(
            f"{where}: parts of its {kind} are missing or do not fit together ({', '.join(sorted(tensors))}); get the "
            f"file again"
        ) from error
    if found.rank < 1:
        raise WeightsError(f"{where}: its {kind} is of rank {found.rank}; get the file again")
    return found


def _product(tensors: Mapping[str, Tensor], factor: str, core: str) -> Tensor:
    """A factor as it is, or as the product of its two thin matrices, with the kernel `core` between them."""
    if factor in tensors:
        return tensors[factor]
    left, right = tensors[f"{factor}_a"], tensors[f"{factor}_b"]
    if core in tensors:
        return torch.einsum("ijkl,ip,jr->prkl", tensors[core], left, right)
    return left @ right


def _moved(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()
