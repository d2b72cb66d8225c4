"""A sheet of sprites to look at: each at true square pixels, under a label that can be read."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spritelora.sprites.pixels.image import Pixels, scale_nearest

TILE_PX, GAP_PX, CHECK_PX = 192, 8, 8
FONT_PX, LINE_PX = 16, 20
SHEET_PX = 1200
"""The contact sheet is about as wide: a screen shows it at its own size."""


def labelled_sheet(prompts: Sequence[tuple[str, Sequence[Pixels]]]) -> Image.Image:
    """The RGBA sprites of each prompt side by side under it, the prompts in lines like those of a text.

    A sprite is enlarged by a whole factor, on a chequered ground.
    """
    tile_px = max(TILE_PX, *(max(sprite.shape[:2]) for _, sprites in prompts for sprite in sprites))
    block_px = max(len(sprites) for _, sprites in prompts) * (tile_px + GAP_PX)
    columns = max(1, min(len(prompts), SHEET_PX // block_px))
    lines = [prompts[start : start + columns] for start in range(0, len(prompts), columns)]
    return _stacked([_line_of_blocks(line, columns, block_px, tile_px) for line in lines])


def _line_of_blocks(
    prompts: Sequence[tuple[str, Sequence[Pixels]]], columns: int, block_px: int, tile_px: int
) -> Image.Image:
    """Prompts side by side, each with its sprites below it."""
    font = ImageFont.load_default(FONT_PX)
    labels = [wrapped(prompt, block_px - GAP_PX) for prompt, _ in prompts]
    label_px = max(len(label) for label in labels) * LINE_PX + 2 * GAP_PX
    picture = Image.new("RGB", (columns * block_px, label_px + tile_px + GAP_PX), "white")
    pen = ImageDraw.Draw(picture)
    for number, (label, (_, sprites)) in enumerate(zip(labels, prompts, strict=True)):
        left = number * block_px
        for line, words in enumerate(label):
            pen.text((left + GAP_PX // 2, GAP_PX + line * LINE_PX), words, fill="black", font=font)
        for column, sprite in enumerate(sprites):
            enlarged = Image.fromarray(scale_nearest(sprite, tile_px // max(sprite.shape[:2])))
            ground = _chequered(enlarged.size)
            ground.paste(enlarged, mask=enlarged.getchannel("A"))
            picture.paste(ground, (left + GAP_PX // 2 + column * (tile_px + GAP_PX), label_px))
    return picture


def _stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole


def wrapped(text: str, width_px: int) -> list[str]:
    """The lines of a text that is that wide at the most; a longer word is broken, and no letter is lost."""
    font = ImageFont.load_default(FONT_PX)
    lines = [""]
    for word in text.split():
        if font.getlength(f"{lines[-1]} {word}".lstrip()) <= width_px:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            lines += [""] if font.getlength(lines[-1] + letter) > width_px and lines[-1] else []
            lines[-1] += letter
    return lines


def _chequered(size: tuple[int, int]) -> Image.Image:
    x, y = np.meshgrid(np.arange(size[0]) // CHECK_PX, np.arange(size[1]) // CHECK_PX)
    return Image.fromarray(np.where((x + y) % 2, 190, 225).astype(np.uint8)).convert("RGB")
