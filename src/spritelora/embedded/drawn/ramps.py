"""The colours a caption names, and the ramps sprites are painted with."""

from colorsys import hsv_to_rgb, rgb_to_hsv

import numpy as np

from spritelora.embedded.drawn.material_grid import Material

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (208, 38, 42),
    "orange": (240, 128, 24),
    "yellow": (246, 216, 52),
    "green": (56, 164, 60),
    "cyan": (60, 208, 218),
    "blue": (46, 82, 208),
    "purple": (132, 56, 186),
    "pink": (246, 132, 188),
    "gray": (138, 140, 148),
}

MATERIAL_COLOURS: dict[Material, Rgb] = {
    Material.DETAIL: (36, 28, 44),
    Material.SHINE: (252, 252, 252),
    Material.WOOD: (128, 82, 46),
    Material.METAL: (176, 184, 196),
    Material.GOLD: (226, 178, 58),
    Material.LEAF: (70, 148, 62),
    Material.CREAM: (238, 222, 188),
}


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """A colour between two; `share` of the second, in [0, 1]."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def vary_colour(colour: Rgb, rng: np.random.Generator) -> Rgb:
    """Move a colour a little in hue (4 degrees), saturation and value (6 %), so that its name still fits."""
    hue, saturation, value = rgb_to_hsv(*(channel / 255 for channel in colour))
    hue = (hue + rng.uniform(-4, 4) / 360) % 1.0
    saturation = min(1.0, saturation * rng.uniform(0.94, 1.06))
    value = min(1.0, value * rng.uniform(0.94, 1.06))
    red, green, blue = (round(channel * 255) for channel in hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def ramp_of(colour: Rgb) -> tuple[Rgb, Rgb, Rgb, Rgb]:
    """Outline, shadow, middle and light of a colour, dark to light; shadows turn to violet, lights to warm white."""
    return (
        mix(colour, (24, 12, 40), 0.74),
        mix(colour, (48, 20, 72), 0.36),
        colour,
        mix(colour, (255, 250, 232), 0.42),
    )


def luminance(colour: Rgb) -> float:
    """The lightness of a colour, 0 to 1, with Rec. 601 weights on its code values."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255
