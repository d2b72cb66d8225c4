"""The changes that a native sprite goes through before it is shown: its ground cut out, its half-transparent pixels."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from spritelora.sprites.backgrounds.ground import Ground, cut_ground
from spritelora.sprites.pixels.image import Pixels, without_hidden_colour

SOLID_FROM = 128


class HalfTransparent(StrEnum):
    """The treatment of pixels that are neither clear nor solid.

    `blend`: mixed with the colour under the sprite. `threshold`: solid from half on, else clear. `drop`: clear.
    """

    blend = "blend"
    threshold = "threshold"
    drop = "drop"


@dataclass(frozen=True)
class Treatment:
    """The changes of one sprite. `ground`: None where it has none, or keeps it."""

    ground: Ground | None = None
    half_transparent: HalfTransparent = HalfTransparent.blend

    def apply(self, native: Pixels) -> Pixels:
        """The native sprite as it is shown. RGBA, (H, W, 4)."""
        if self.ground is not None:
            native = cut_ground(native, self.ground)
        if self.half_transparent is HalfTransparent.blend:
            return native
        least = SOLID_FROM if self.half_transparent is HalfTransparent.threshold else 255
        alpha = np.where(native[..., 3] >= least, np.uint8(255), np.uint8(0))
        return without_hidden_colour(np.dstack([native[..., :3], alpha]))
