"""Memory for frozen weights in another number format: one block that each takes in its turn."""

import torch
from torch import Tensor

_BLOCKS: dict[tuple[torch.dtype, torch.device], Tensor] = {}


def converted(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in a number format: itself, or a copy that is good until the next one is asked for.

    To make a block anew for each of SDXL's weights costs more than to fill it.
    """
    if weight.dtype == dtype:
        return weight
    place = (dtype, weight.device)
    if place not in _BLOCKS or _BLOCKS[place].numel() < weight.numel():
        _BLOCKS[place] = torch.empty(weight.numel(), dtype=dtype, device=weight.device)
    return _BLOCKS[place][: weight.numel()].view(weight.shape).copy_(weight)
