"""The colours that a sprite's pixels show, by name, and sprites in another colour."""

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn.ramps import COLOURS

Pixels = NDArray[np.uint8]

BLACK, GRAY, WHITE, BROWN = "black", "gray", "white", "brown"
NAMES = (*COLOURS, BROWN, WHITE, BLACK)
"""The words for colours; the first nine are those of the drawn sprites."""

HUE_NAMES = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
HUE_ENDS = np.array([15, 42, 68, 165, 200, 256, 296, 344])
"""Degrees at which the hues of HUE_NAMES end; what is above the last is red again."""

SMALLEST_SHARE = 0.15
"""Of the visible pixels: what a colour needs to be named."""

OUTLINE_SHARE = 0.6
"""Below it black is taken for the outline, and not named."""


def to_hsv(rgb: Pixels) -> NDArray[np.float64]:
    """Colours (N, 3) uint8 as hue in degrees, saturation and value in [0, 1]: (N, 3)."""
    values = rgb.astype(np.float64) / 255
    value, low = values.max(-1), values.min(-1)
    spread = value - low
    safe = np.where(spread > 0, spread, 1)
    red, green, blue = values.T
    hue = np.where(
        value == red, (green - blue) / safe, np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    saturation = spread / np.where(value > 0, value, 1)
    return np.stack([np.where(spread > 0, hue * 60 % 360, 0), saturation, value], -1)


def from_hsv(hsv: NDArray[np.float64]) -> Pixels:
    """The inverse of `to_hsv`, (N, 3) uint8."""
    hue, saturation, value = hsv[:, 0] / 60, hsv[:, 1], hsv[:, 2]
    shift = (np.array([5, 3, 1]) + hue[:, None]) % 6
    share = np.clip(np.minimum(shift, 4 - shift), 0, 1)
    return np.round(255 * (value[:, None] * (1 - saturation[:, None] * share))).astype(np.uint8)


def name_colours(rgb: Pixels) -> NDArray[np.int64]:
    """The number in NAMES of each colour (N, 3)."""
    hue, saturation, value = to_hsv(rgb).T
    number = np.searchsorted(HUE_ENDS, hue, side="right") % len(HUE_NAMES)
    named = np.array([NAMES.index(name) for name in HUE_NAMES])[number]
    warm = (hue < HUE_ENDS[1]) | (hue >= HUE_ENDS[-1])
    named = np.where(warm & (hue < HUE_ENDS[0]) & (saturation < 0.5) & (value > 0.75), NAMES.index("pink"), named)
    orange = (hue >= HUE_ENDS[0]) & (hue < HUE_ENDS[1])
    dull = (orange & ((value < 0.7) | (saturation < 0.5))) | ((named == NAMES.index("yellow")) & (value < 0.5))
    named = np.where(dull, NAMES.index(BROWN), named)
    pale = saturation < 0.15
    named = np.where(pale, NAMES.index(GRAY), named)
    named = np.where(pale & (value > 0.86), NAMES.index(WHITE), named)
    return np.where((value < 0.22) | (pale & (value < 0.3)), NAMES.index(BLACK), named)


def colours_of(sprite: Pixels) -> list[str]:
    """The names of the colours that fill the most of a sprite (H, W, 4), most first; black seldom counts."""
    visible = sprite[sprite[..., 3] > 127][:, :3]
    if not len(visible):
        return []
    shares = np.bincount(name_colours(visible), minlength=len(NAMES)) / len(visible)
    black = NAMES.index(BLACK)
    if shares[black] < OUTLINE_SHARE:
        shares[black] = 0
        shares /= max(shares.sum(), 1e-9)
    return [NAMES[at] for at in np.argsort(-shares, kind="stable") if shares[at] >= SMALLEST_SHARE]


def recolour(sprite: Pixels, colour: str) -> Pixels | None:
    """A sprite (H, W, 4) whose main colour is another one of HUE_NAMES; None where that cannot be done.

    The hue of the main colour's pixels turns, their light stays. None where the main colour has no hue, or where the
    new one would not be named `colour`.
    """
    found = colours_of(sprite)
    if not found or found[0] not in HUE_NAMES or colour == found[0]:
        return None
    rgb = sprite[..., :3].reshape(-1, 3)
    chosen = (name_colours(rgb) == NAMES.index(found[0])) & (sprite[..., 3].reshape(-1) > 127)
    hsv = to_hsv(rgb[chosen])
    turn = to_hsv(np.array([COLOURS[colour], COLOURS[found[0]]], np.uint8))
    hsv[:, 0] = (hsv[:, 0] + turn[0, 0] - turn[1, 0]) % 360
    if "pink" in (colour, found[0]):
        hsv[:, 1] = np.clip(hsv[:, 1] * (0.6 if colour == "pink" else 1.6), 0, 1)
    painted = rgb.copy()
    painted[chosen] = from_hsv(hsv)
    other = np.dstack([painted.reshape(*sprite.shape[:2], 3), sprite[..., 3]])
    return other if colours_of(other)[:1] == [colour] else None
