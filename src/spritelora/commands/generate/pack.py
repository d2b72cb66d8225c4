"""Sprites into files: indexed PNG, a sheet with Aseprite's JSON, and a contact sheet to look at."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spritelora.sprites.pixels.image import Pixels, scale_nearest

FRAME_MS = 100
MOST_INDEXED = 255
"""Colours of an indexed PNG besides the transparent one."""

TILE_PX, LABEL_PX, CHECK_PX = 128, 20, 8


def encode_png(sprite: Pixels) -> tuple[bytes, bool]:
    """An RGBA sprite as PNG, and whether it is indexed: it is up to 255 visible colours, else RGBA.

    Index 0 is transparent. Only alpha 0 and 255 are known here.
    """
    seen = sprite[..., 3] > 0
    colours, places = np.unique(sprite[seen][:, :3], axis=0, return_inverse=True)
    is_indexed = len(colours) <= MOST_INDEXED
    if is_indexed:
        indices = np.zeros(seen.shape, dtype=np.uint8)
        indices[seen] = places.reshape(-1) + 1
        image = Image.fromarray(indices)
        image.putpalette(bytes([0, 0, 0]) + colours.tobytes())
        options: dict[str, Any] = {"transparency": 0}
    else:
        image, options = Image.fromarray(sprite), {}
    stream = io.BytesIO()
    image.save(stream, format="PNG", **options)
    return stream.getvalue(), is_indexed


def pack_sheet(
    sprites: Sequence[Pixels], names: Sequence[str], tags: Sequence[tuple[str, int, int]], image_name: str
) -> tuple[Pixels, dict[str, Any]]:
    """Sprites in reading order on one sheet, RGBA, with the data that Aseprite writes for it as a hash.

    `tags`: name, first and last frame. `image_name`: of the sheet's file.
    """
    height, width = (max(sprite.shape[axis] for sprite in sprites) for axis in (0, 1))
    columns = math.ceil(math.sqrt(len(sprites)))
    sheet = np.zeros((math.ceil(len(sprites) / columns) * height, columns * width, 4), dtype=np.uint8)
    frames: dict[str, Any] = {}
    for number, (sprite, name) in enumerate(zip(sprites, names, strict=True)):
        y, x = number // columns * height, number % columns * width
        h, w = sprite.shape[:2]
        sheet[y : y + h, x : x + w] = sprite
        frames[f"{name}.png"] = {
            "frame": {"x": x, "y": y, "w": w, "h": h},
            "rotated": False,
            "trimmed": False,
            "spriteSourceSize": {"x": 0, "y": 0, "w": w, "h": h},
            "sourceSize": {"w": w, "h": h},
            "duration": FRAME_MS,
        }
    meta = {
        "app": "spritelora",
        "version": "1.0",
        "image": image_name,
        "format": "RGBA8888",
        "size": {"w": sheet.shape[1], "h": sheet.shape[0]},
        "scale": "1",
        "frameTags": [{"name": n, "from": first, "to": last, "direction": "forward"} for n, first, last in tags],
        "layers": [],
        "slices": [],
    }
    return sheet, {"frames": frames, "meta": meta}


def contact_sheet(rows: Sequence[tuple[str, Sequence[Pixels]]]) -> Image.Image:
    """A row of RGBA sprites under each label, on a chequered ground, each enlarged by a whole factor."""
    largest = max(max(s.shape[:2]) for _, sprites in rows for s in sprites)
    tile = max(TILE_PX, largest)
    widest = max(len(sprites) for _, sprites in rows)
    width = max(widest * tile, max(8 + 7 * len(label) for label, _ in rows))
    picture = Image.new("RGB", (width, len(rows) * (tile + LABEL_PX)), "white")
    pen = ImageDraw.Draw(picture)
    for row, (label, sprites) in enumerate(rows):
        top = row * (tile + LABEL_PX)
        pen.text((4, top + 4), label, fill="black")
        for column, sprite in enumerate(sprites):
            enlarged = Image.fromarray(scale_nearest(sprite, tile // max(sprite.shape[:2])))
            ground = _chequered(enlarged.size)
            ground.paste(enlarged, mask=enlarged.getchannel("A"))
            picture.paste(ground, (column * tile, top + LABEL_PX))
    return picture


def _chequered(size: tuple[int, int]) -> Image.Image:
    x, y = np.meshgrid(np.arange(size[0]) // CHECK_PX, np.arange(size[1]) // CHECK_PX)
    return Image.fromarray(np.where((x + y) % 2, 190, 225).astype(np.uint8)).convert("RGB")
