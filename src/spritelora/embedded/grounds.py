"""What is behind a sprite: a plain colour, or tiles side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.canvases import Canvas
from spritelora.embedded.hues import NAMES
from spritelora.sprites.drawing.colours import COLOURS, vary_colour
from spritelora.sprites.drawing.sprite import BACKGROUNDS

Pixels = NDArray[np.uint8]

PLAIN = {**COLOURS, "brown": (112, 74, 44), **BACKGROUNDS}
CHANCES = {"black": 0.3, "gray": 0.25}
"""Of plain colours besides white; the others share the rest."""


@dataclass(frozen=True)
class Ground:
    """A tile (h, w, 3) that fills the canvas, and the words for it."""

    words: str
    tile: Pixels

    def paint(self, canvas: Canvas) -> Pixels:
        """The canvas, (H, W, 3), with the tile side by side from the upper left."""
        rows, columns = np.arange(canvas.height) % len(self.tile), np.arange(canvas.width) % self.tile.shape[1]
        return self.tile[rows[:, None], columns]


def draw_ground(colours: Sequence[str], rng: np.random.Generator) -> Ground:
    """A plain ground, in none of a sprite's own colours."""
    names = [name for name in NAMES if name not in (*colours, "white")]
    rest = (1 - sum(CHANCES.values())) / (len(NAMES) - 1 - len(CHANCES))
    chances = np.array([CHANCES.get(name, rest) for name in names])
    name = str(rng.choice(names, p=chances / chances.sum()))
    colour = PLAIN[name] if name in BACKGROUNDS else vary_colour(PLAIN[name], rng)
    return Ground(name, np.array([[colour]], np.uint8))
