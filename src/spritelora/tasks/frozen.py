"""Frozen parts kept from one job of a sweep for the next of the same process, where the next uses the same."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from spritelora.sdxl.base import BaseModel, Unet, empty_unet, file_states, load_unet
from spritelora.training.hardware import Hardware

T = TypeVar("T")


class Frozen:
    """What does not change in training, each part with the key of all that it depends on.

    Only what no job changes is kept: weights and results, never a module, so that an adapter, a hook or a mode of one
    job cannot reach the next.
    """

    def __init__(self) -> None:
        self._base: object = None
        self._parts: dict[str, tuple[object, Any]] = {}

    def use_base(self, base: BaseModel, hardware: Hardware) -> None:
        """Let go of everything that is of another base model, number format or device."""
        key = (file_states(base), hardware.base_dtype, hardware.device)
        if key != self._base:
            self._base, self._parts = key, {}

    def part(self, name: str, key: object, make: Callable[[], T]) -> T:
        """The part of that name: as kept where the key is equal, else made anew once the old one is let go."""
        if name not in self._parts or self._parts[name][0] != key:
            self._parts.pop(name, None)
            self._parts[name] = (key, make())
        return self._parts[name][1]

    def unet(self, base: BaseModel, hardware: Hardware) -> Unet:
        """A UNet of its own structure around the kept weights, frozen, on the training device."""

        def load() -> dict[str, torch.Tensor]:
            return dict(load_unet(base, hardware.base_dtype).to(hardware.device).state_dict())  # pyright: ignore

        weights = self.part("unet", None, load)
        unet = empty_unet(base)
        unet.load_state_dict(weights, assign=True)
        return unet.requires_grad_(False).eval()


KEPT = Frozen()
"""Of this process, for the jobs of a sweep."""
