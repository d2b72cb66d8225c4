"""Sprites with a known scale and known faults, for tests of what finds them."""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from spritelora.embedded.drawn import draw_demo_set, draw_sprite, sample_spec
from spritelora.sprites.pixels.image import Pixels

DCSS = Path(__file__).parents[4] / "shared" / "data" / "dcss"


def opaque(colours: np.ndarray) -> Pixels:
    return np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)])


def demo_sprites() -> list[Pixels]:
    return [opaque(np.asarray(image)) for image, _ in draw_demo_set()]


def drawn_sprites(count: int, seed: int) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [opaque(draw_sprite(sample_spec(rng), rng)) for _ in range(count)]


def has_odd_runs(sprite: Pixels) -> bool:
    """Whether both axes have a run of odd length between two colour changes, so that only scale 1 fits."""
    for lines in (sprite, sprite.swapaxes(0, 1)):
        changes = np.flatnonzero((lines[:, 1:] != lines[:, :-1]).any(axis=(0, 2)))
        if not (np.diff(changes) % 2).any():
            return False
    return True


def enlarge(sprite: Pixels, factor: int, rng: np.random.Generator) -> tuple[Pixels, tuple[int, int], Pixels]:
    """An enlargement cut by up to a pixel less one on each side: the image, its offset, its native pixels."""
    left, up, right, down = (int(rng.integers(factor)) for _ in range(4))
    large = sprite.repeat(factor, axis=0).repeat(factor, axis=1)
    cut = large[up : len(large) - down, left : large.shape[1] - right]
    return cut, (-left % factor, -up % factor), sprite


def as_jpeg(image: Pixels, quality: int = 90) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[..., :3])).save(file, "JPEG", quality=quality)
    return opaque(np.asarray(Image.open(file).convert("RGB")))


def soften(image: Pixels, factor: int, offset: tuple[int, int]) -> Pixels:
    """The first row and column of each native pixel mixed half and half with what is above and left of it."""
    soft = image.astype(np.float64)
    for axis, start in ((1, offset[0]), (0, offset[1])):
        lines = np.arange(start or factor, image.shape[axis], factor)
        mixed = (soft.take(lines, axis) + soft.take(lines - 1, axis)) / 2
        soft[(slice(None), lines) if axis else lines] = mixed
    return soft.round().astype(np.uint8)


def draw_scene(side: int, rng: np.random.Generator) -> Pixels:
    """Like a photograph: light that varies at all sizes, smooth objects in front, grain."""
    light = np.zeros((side, side, 3))
    for cells in (2, 4, 8, 16, 32):
        noise = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        planes = [Image.fromarray(noise[..., c]).resize((side, side), Image.Resampling.BICUBIC) for c in range(3)]
        light += np.stack([np.asarray(plane) for plane in planes], axis=2) / math.sqrt(cells)
    light = (light - light.min()) / np.ptp(light) * 255
    scene = Image.fromarray(light.astype(np.uint8)).resize((2 * side, 2 * side))
    pencil = ImageDraw.Draw(scene)
    for _ in range(10):
        corners = [(float(x), float(y)) for x, y in rng.uniform(0, 2 * side, (3, 2))]
        pencil.polygon(corners, fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    small = np.asarray(scene.resize((side, side), Image.Resampling.LANCZOS))
    return opaque(np.clip(small + rng.normal(size=(side, side, 1)) * 3, 0, 255).astype(np.uint8))


def not_sprites(rng: np.random.Generator) -> Iterator[tuple[str, Pixels]]:
    """Photographs, noise and gradients, as they are and as JPEG."""
    for side in (64, 200, 400):
        y, x = np.mgrid[0:side, 0:side] * 255 // side
        made = {
            "noise": opaque(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)),
            "grey noise": opaque(np.repeat(rng.integers(0, 256, (side, side, 1), dtype=np.uint8), 3, axis=2)),
            "gradient": opaque(np.stack([x, x, x], axis=2).astype(np.uint8)),
            "two gradients": opaque(np.stack([x, y, (x + y) // 2], axis=2).astype(np.uint8)),
            "scene": draw_scene(side, rng),
        }
        for name, image in made.items():
            yield f"{name} {side}", image
            yield f"{name} {side} jpeg", as_jpeg(image)
