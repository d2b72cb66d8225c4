"""The noise schedule in parts, for losses by timestep; no torch, so that the door can name them."""

from itertools import pairwise


def timestep_bands(count: int, num_timesteps: int) -> list[tuple[int, int]]:
    """The noise schedule in equal parts, each [first, last)."""
    edges = [round(i * num_timesteps / count) for i in range(count + 1)]
    return list(pairwise(edges))
