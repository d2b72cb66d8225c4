"""The native pixels of a sprite that was enlarged: how large each is, and where the first whole one begins."""

from dataclasses import dataclass

from spritelora.sprites.image import Pixels, exact_scale


@dataclass(frozen=True)
class NativeScale:
    """How an image was enlarged from its native pixels.

    `factor`: image pixels to a native pixel, 1 where no enlargement was found. `offset`: x and y of the first native
    pixel's left and upper edge, 0 to factor - 1; above 0 the image begins within a native pixel. `confidence`: 0 to 1.
    `exact`: every native pixel is one flat colour.
    """

    factor: int
    offset: tuple[int, int]
    confidence: float
    exact: bool


def detect_scale(image: Pixels) -> NativeScale:
    """Find how an RGBA image (H, W, 4) was enlarged."""
    return NativeScale(exact_scale(image), (0, 0), 1.0, True)


def to_native(image: Pixels, scale: NativeScale) -> Pixels:
    """One pixel for each native pixel. `image`: (H, W, C)."""
    x, y = scale.offset
    return image[y :: scale.factor, x :: scale.factor]
