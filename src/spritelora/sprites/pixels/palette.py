"""Colours as people see them: OKLab, and how far pictures stray from a palette."""

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.image import Pixels, pack_rgb

Lab = NDArray[np.float64]

TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def to_oklab(colours: NDArray[np.uint8]) -> Lab:
    """sRGB code values (..., 3) as OKLab: lightness in 0 to 1, a and b about -0.4 to 0.4.

    Source: B. Ottosson 2020, "A perceptual color space for image processing".
    """
    encoded = colours.astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T


def count_colours(images: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The distinct colours (N, 3) of images (..., 3), and how many pixels have each (N,)."""
    found, counts = np.unique(pack_rgb(images), return_counts=True)
    return np.stack([(found >> shift) & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8), counts
