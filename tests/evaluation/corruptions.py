"""Drawn sprites, and what goes wrong with pixel art: each fault by itself, for metrics to find or to leave alone."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from spritelora.embedded.drawn import draw_sprite, sample_spec
from spritelora.sprites.pixels.image import scale_nearest

Pixels = NDArray[np.uint8]

CELL_PX = 8


def draw_native(num_sprites: int, seed: int, **spec: str) -> list[Pixels]:
    """Sprites of 16 x 16 with a free border, so that each has a plain background."""
    rng = np.random.default_rng(seed)
    sprites: list[Pixels] = []
    while len(sprites) < num_sprites:
        sprite = draw_sprite(sample_spec(rng, **spec), rng)
        border = np.concatenate([sprite[0], sprite[-1], sprite[:, 0], sprite[:, -1]])
        if (border == border[0]).all():
            sprites.append(sprite)
    return sprites


def enlarge(native: Pixels) -> Pixels:
    """Native pixels as cells of `CELL_PX`."""
    return scale_nearest(native, CELL_PX)


def blur(native: Pixels) -> Pixels:
    """A Gaussian of 1 px."""
    return np.asarray(Image.fromarray(enlarge(native)).filter(ImageFilter.GaussianBlur(1)))


def resize_by_a_fraction(native: Pixels) -> Pixels:
    """To 15/16 with bilinear filtering, so that a native pixel is 7.5 px."""
    side = enlarge(native).shape[0] * 15 // 16
    return np.asarray(Image.fromarray(enlarge(native)).resize((side, side), Image.Resampling.BILINEAR))


def shift_below_a_pixel(native: Pixels) -> Pixels:
    """Half a pixel to the right and down, bilinear; the border repeats."""
    image = Image.fromarray(np.pad(enlarge(native), ((1, 0), (1, 0), (0, 0)), mode="edge"))
    moved = image.transform(image.size, Image.Transform.AFFINE, (1, 0, -0.5, 0, 1, -0.5), Image.Resampling.BILINEAR)
    return np.asarray(moved)[1:, 1:]


def add_hue_noise(native: Pixels) -> Pixels:
    """Each native pixel's hue turned by up to 14 degrees, its edges left sharp."""
    hsv = np.asarray(Image.fromarray(native).convert("HSV")).copy()
    hsv[..., 0] += np.random.default_rng(0).integers(-10, 11, hsv.shape[:2]).astype(np.uint8)
    return enlarge(np.asarray(Image.fromarray(hsv, "HSV").convert("RGB")))


def add_colours(native: Pixels) -> Pixels:
    """One native pixel in twenty painted in a colour of its own."""
    rng = np.random.default_rng(0)
    painted = native.copy()
    where = rng.random(native.shape[:2]) < 0.05
    painted[where] = rng.integers(0, 256, (np.count_nonzero(where), 3), np.uint8)
    return enlarge(painted)


def lose_colours(native: Pixels) -> Pixels:
    """Everything in greys."""
    return enlarge(np.asarray(Image.fromarray(native).convert("L").convert("RGB")))


CORRUPTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "blur": blur,
    "fractional resize": resize_by_a_fraction,
    "sub-pixel shift": shift_below_a_pixel,
    "hue noise": add_hue_noise,
    "added colours": add_colours,
    "lost colours": lose_colours,
}
