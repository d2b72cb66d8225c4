"""Where native sprites go on their canvases: whole factors, the latent grid, padding; nothing is ever resampled.

Sizes, factors, offsets and shapes are pairs, x before y, in pixels.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from spritelora.sprites.pixels.image import LATENT_PX, Pixels

Pair = tuple[int, int]

BUCKET_STEP_PX = 64
WIDEST_BUCKET = 4
LEAST_BUCKET_AREA = 0.9
"""At 1024 px these three give SDXL's own list. Source: Podell et al. 2023, arXiv:2307.01952, appendix I."""


@dataclass(frozen=True)
class Fit:
    """A native sprite's place: enlarged by `factors`, its corner at `offset`, on a canvas of size `canvas`."""

    factors: Pair
    offset: Pair
    canvas: Pair


@dataclass(frozen=True)
class Canvases:
    """The canvases that training may show sprites on. `side_px`: of the square of their area, the model's resolution.

    `takes_prepared`: a prepared set of this size is shown on its own canvases, whichever they are.
    """

    side_px: int
    shapes: Sequence[Pair]
    takes_prepared: bool = False

    def holds(self, canvas: Pair) -> bool:
        """Whether a prepared image of this size can be shown as it is."""
        if canvas in self.shapes:
            return True
        is_oblong = canvas[0] != canvas[1]
        return self.takes_prepared and is_oblong and is_bucket(canvas, self.side_px)


def square_canvas(side_px: int) -> Canvases:
    """The square alone."""
    return Canvases(side_px, canvas_shapes(side_px, buckets=False))


def canvas_shapes(side_px: int, buckets: bool) -> list[Pair]:
    """The canvases a set may use, the square first; buckets have about its area and sides that are multiples of 64."""
    square = (side_px, side_px)
    if not buckets:
        return [square]
    sides = range(BUCKET_STEP_PX, 2 * side_px + 1, BUCKET_STEP_PX)
    return [square, *((w, h) for w in sides for h in sides if is_bucket((w, h), side_px) and (w, h) != square)]


def is_bucket(canvas: Pair, side_px: int) -> bool:
    """Whether a canvas is one of those that have about the area of a square."""
    width, height = canvas
    return (
        width % BUCKET_STEP_PX == height % BUCKET_STEP_PX == 0
        and max(canvas) <= WIDEST_BUCKET * min(canvas)
        and LEAST_BUCKET_AREA * side_px**2 <= width * height <= side_px**2
    )


def parse_pair(text: str) -> Pair:
    """Width and height of a text such as 832x1216. Raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip())
    if match is None:
        raise ValueError(f"'{text}' is no width and height such as 832x1216")
    return int(match[1]), int(match[2])


def pair_text(pair: Pair) -> str:
    """Width and height as they are typed: 832x1216."""
    return f"{pair[0]}x{pair[1]}"


def sides_text(canvas: Pair) -> str:
    """The side of a square, width and height of another canvas."""
    return str(canvas[0]) if canvas[0] == canvas[1] else pair_text(canvas)


def largest_factor(size: Pair, shapes: Sequence[Pair]) -> int:
    """The largest whole factor by which a sprite fits one of the shapes, 0 where it fits none."""
    return max(min(w // size[0], h // size[1]) for w, h in shapes)


def whole_cells(factor: int) -> int:
    """The largest factor up to `factor` that puts a sprite pixel on whole latent cells; below 8 the factor itself."""
    return factor if factor < LATENT_PX else factor // LATENT_PX * LATENT_PX


def uniform_factor(sizes: Iterable[Pair], shapes: Sequence[Pair]) -> int:
    """One factor for sprites that all fit: the largest possible, a multiple of 8 where it reaches 8."""
    return whole_cells(min(largest_factor(size, shapes) for size in sizes))


def tiling_factor(sizes: Iterable[Pair], shapes: Sequence[Pair]) -> int:
    """One factor for a set whose larger sprites are cut: decided by those that fit with a latent cell to a pixel."""
    fitting = [size for size in sizes if largest_factor(size, shapes) >= LATENT_PX]
    return uniform_factor(fitting, shapes) if fitting else LATENT_PX


def fit_sprite(size: Pair, factor: int, shapes: Sequence[Pair]) -> Fit:
    """Place a sprite in the middle of the shape most like its own, on the latent grid.

    Raises ValueError where it fits none by this factor.
    """
    holding = [s for s in shapes if size[0] * factor <= s[0] and size[1] * factor <= s[1]]
    if not holding:
        times = f" times {factor}" if factor > 1 else ""
        raise ValueError(f"{size[0]}x{size[1]} sprite pixels{times} do not fit {shapes[0][0]}x{shapes[0][1]}")
    canvas = min(holding, key=lambda s: abs(np.log(s[0] / s[1] / (size[0] / size[1]))))
    return Fit((factor, factor), _centred(size, (factor, factor), canvas), canvas)


def in_middle(size: Pair, factor: int, side_px: int) -> Fit:
    """A sprite's place in the middle of a square, to the pixel: for pictures that are looked at, not trained on."""
    x, y = ((side_px - n * factor) // 2 for n in size)
    return Fit((factor, factor), (x, y), (side_px, side_px))


def stretch_sprite(size: Pair, shapes: Sequence[Pair]) -> Fit:
    """Fill the shape most like the sprite's own, by the largest whole factor of each axis. Raises ValueError."""
    canvas = fit_sprite(size, 1, shapes).canvas
    factors = canvas[0] // size[0], canvas[1] // size[1]
    return Fit(factors, _centred(size, factors, canvas), canvas)


def _centred(size: Pair, factors: Pair, canvas: Pair) -> Pair:
    """The offset nearest the middle, below it, on the latent grid, and on the grid of sprite pixels where that is one.

    So all sprites of a set whose factor is a multiple of 8 share one grid, from the canvas's corner on.
    """
    steps = [f if f % LATENT_PX == 0 else LATENT_PX for f in factors]
    x, y = ((c - n * f) // 2 // step * step for c, n, f, step in zip(canvas, size, factors, steps, strict=True))
    return x, y


def draw_on_canvas(native: Pixels, fit: Fit, fill: Sequence[int]) -> Pixels:
    """Enlarge a native sprite (H, W, C) onto its canvas; what it leaves free is `fill` (C,)."""
    canvas = np.empty((fit.canvas[1], fit.canvas[0], native.shape[2]), dtype=np.uint8)
    canvas[:] = np.array(fill, dtype=np.uint8)
    (fx, fy), (x, y), (height, width) = fit.factors, fit.offset, native.shape[:2]
    canvas[y : y + height * fy, x : x + width * fx] = native.repeat(fx, axis=1).repeat(fy, axis=0)
    return canvas


def take_from_canvas(canvas: Pixels, fit: Fit, size: Pair) -> Pixels:
    """The native sprite that `draw_on_canvas` enlarged. `canvas`: (H, W, C)."""
    (fx, fy), (x, y) = fit.factors, fit.offset
    return canvas[y : y + size[1] * fy : fy, x : x + size[0] * fx : fx]


def tile_corners(size: Pair, tile: Pair) -> list[Pair]:
    """The upper left corners of the tiles that cover a sprite, row by row."""
    return [(x, y) for y in range(0, size[1], tile[1]) for x in range(0, size[0], tile[0])]
