"""Sprites into files: indexed PNG, and a sheet with Aseprite's JSON."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from spritelora.commands.generate.finish import MOST_INDEXED
from spritelora.sprites.pixels.image import Pixels

FRAME_MS = 100


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
