"""The canvases that the base knows, in native pixels, which sprites suit each, and what is behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn.drawn_sprite import BACKGROUNDS
from spritelora.embedded.drawn.ramps import COLOURS, vary_colour
from spritelora.embedded.real.hues import NAMES
from spritelora.embedded.real.records import Record
from spritelora.sprites.pixels.image import LATENT_PX

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Canvas:
    """A canvas of native pixels."""

    height: int
    width: int

    @property
    def num_cells(self) -> int:
        """Native pixels, which are latent cells as well."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.height * LATENT_PX}x{self.width * LATENT_PX}"


SMALL, ICON, TILE, FACE = Canvas(16, 16), Canvas(24, 24), Canvas(32, 32), Canvas(40, 40)
OBLONG = tuple(Canvas(*sides) for sides in ((24, 16), (32, 16), (32, 24), (40, 24)))
CANVASES = (SMALL, ICON, TILE, FACE, *OBLONG, *(Canvas(each.width, each.height) for each in OBLONG))
FREQUENT = (SMALL, ICON, TILE)

EARLY = {SMALL: 0.68, ICON: 0.08, TILE: 0.16, FACE: 0.02}
LATE = {SMALL: 0.32, ICON: 0.05, TILE: 0.55, FACE: 0.02}
"""Shares of the steps on each canvas, early and late; the rest is shared by the oblong ones alike."""

EARLY_STEPS, LATE_STEPS = 1500, 2200
"""Between these steps the shares change from EARLY to LATE."""


def batch_size(canvas: Canvas, cells_a_step: int) -> int:
    """The number of sprites in a step on a canvas."""
    return max(1, cells_a_step // canvas.num_cells)


def canvas_at(step: int, rng: np.random.Generator, among: Sequence[Canvas] = CANVASES) -> Canvas:
    """The canvas of a step, one of those that there are sprites for."""
    late = float(np.clip((step - EARLY_STEPS) / (LATE_STEPS - EARLY_STEPS), 0, 1))
    shares = {canvas: (1 - late) * EARLY[canvas] + late * LATE[canvas] for canvas in EARLY}
    left = (1 - sum(shares.values())) / (len(CANVASES) - len(shares))
    chances = np.array([shares.get(canvas, left) for canvas in among])
    return among[int(rng.choice(len(among), p=chances / chances.sum()))]


def suits(record: Record, canvas: Canvas) -> bool:
    """Whether a sprite fits on a canvas and fills enough of it; an opaque one must leave next to nothing free."""
    height, width = record.shape
    if record.layer or height > canvas.height or width > canvas.width:
        return False
    if record.is_opaque:
        return canvas.height - height <= 2 and canvas.width - width <= 2
    if canvas.height == canvas.width:
        return max(record.shape) >= (0.35 if canvas == SMALL else 0.62) * canvas.height
    long_px, short_px = (height, width) if canvas.height > canvas.width else (width, height)
    long_side, short_side = max(canvas.height, canvas.width), min(canvas.height, canvas.width)
    return long_px >= 0.7 * long_side and short_px >= 0.4 * short_side


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
