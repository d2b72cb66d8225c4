"""The demo set: sprites in the four greens of a hand-held console of 1989, a style the base never sees."""

import numpy as np
from PIL import Image

from spritelora.embedded.drawn.drawn_sprite import SpriteSpec, draw_cells
from spritelora.embedded.drawn.material_grid import GRID_PX, Material
from spritelora.embedded.drawn.ramps import COLOURS, luminance
from spritelora.embedded.drawn.render import Cells, Pixels, Style, outline_of, shade_levels
from spritelora.embedded.drawn.subjects import SIDED_SUBJECTS, SUBJECTS

DEMO_GREENS = np.array([(15, 56, 15), (48, 98, 48), (118, 152, 32), (174, 202, 52)], np.uint8)
"""Dark to light."""

COLOURS_PER_SUBJECT = 3

DARK_BELOW = 0.5
"""Luminance below which a colour is shown by the dark greens."""


def paint_greens(cells: Cells, colour: str) -> Pixels:
    """Paint a grid of materials in the four greens. Returns (16, 16, 3) uint8.

    A dark colour's body is painted in the second green with the third as its light, a light colour's the other way
    round; other materials take the green that the body leaves, so that they stand out.
    """
    light = shade_levels(cells)
    body = cells == Material.BODY
    tones = np.full((GRID_PX, GRID_PX), 3)
    if luminance(COLOURS[colour]) < DARK_BELOW:
        tones[cells != Material.EMPTY] = 2
        tones[body] = np.where(light[body] > 0.55, 2, 1)
    else:
        tones[cells != Material.EMPTY] = 1
        tones[body] = np.where(light[body] < -0.55, 1, 2)
    tones[(cells == Material.SHINE) | (cells == Material.CREAM)] = 3
    tones[(cells == Material.DETAIL) | outline_of(cells)] = 0
    return DEMO_GREENS[tones]


def draw_demo_set(seed: int = 1989) -> list[tuple[Image.Image, str]]:
    """Sixty captioned sprites: every subject in three colours, which the four greens show as tones.

    Returns pairs of a 16 x 16 RGB image and its caption, always the same for a seed.
    """
    rng = np.random.default_rng(seed)
    names = list(COLOURS)
    pairs: list[tuple[Image.Image, str]] = []
    for number, subject in enumerate(SUBJECTS):
        for turn in range(COLOURS_PER_SUBJECT):
            colour = names[(number + turn * len(names) // COLOURS_PER_SUBJECT) % len(names)]
            facing = "right" if subject in SIDED_SUBJECTS else ""
            spec = SpriteSpec(subject, colour, Style.SHADED, "white", "", facing)
            pixels = paint_greens(draw_cells(spec, rng), colour)
            pairs.append((Image.fromarray(pixels), f"pixel art, {colour} {subject}"))
    return pairs
