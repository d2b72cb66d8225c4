"""Contact sheets: what the base draws, for the eye."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spritelora.embedded.model.tiny_sample import draw_images
from spritelora.embedded.real.canvases import Canvas
from spritelora.sprites.pixels.image import LATENT_PX

Pixels = NDArray[np.uint8]

COLUMNS = 6
TEXT_PX = 12
TEXT_LINES = 3
SIDE_PX = 192
"""The longer side of a sprite on the sheet, at most."""


def draw_sprites(
    pipeline: Any, captions: Sequence[str], canvas: Canvas, num_steps: int, guidance: float, first_seed: int = 0
) -> Pixels:
    """Draw one sprite for each caption, in native pixels: (N, H, W, 3)."""
    size_px = canvas.height * LATENT_PX, canvas.width * LATENT_PX
    seeds = range(first_seed, first_seed + len(captions))
    images = draw_images(pipeline, captions, seeds, num_steps, guidance, batch_size=8, size_px=size_px)
    return shrink(images)


def shrink(images: Pixels) -> Pixels:
    """The mean colour of each native pixel: (N, 8 H, 8 W, 3) to (N, H, W, 3)."""
    count, height, width, _ = images.shape
    cells = images.reshape(count, height // LATENT_PX, LATENT_PX, width // LATENT_PX, LATENT_PX, 3)
    return np.round(cells.mean((2, 4))).astype(np.uint8)


def write_sheet(sprites: Pixels, captions: Sequence[str], file: Path) -> None:
    """Write sprites (N, H, W, 3) side by side, each with its caption below."""
    factor = max(1, SIDE_PX // max(sprites.shape[1:3]))
    height = sprites.shape[1] * factor + TEXT_PX * TEXT_LINES + 4
    rows = -(-len(sprites) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE_PX + 8), rows * height), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for place, (sprite, caption) in enumerate(zip(sprites, captions, strict=True)):
        left, top = place % COLUMNS * (SIDE_PX + 8), place // COLUMNS * height
        sheet.paste(Image.fromarray(sprite.repeat(factor, 0).repeat(factor, 1)), (left, top))
        for number, line in enumerate(wrap(caption, SIDE_PX // 6)[:TEXT_LINES]):
            below = top + sprite.shape[0] * factor + number * TEXT_PX
            pen.text((left, below), line, fill=(0, 0, 0))
    sheet.save(file)
