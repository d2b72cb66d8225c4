"""Sheets of drawn sprites and the data files beside them, for tests of what cuts them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spritelora.embedded.drawn import draw_sprite, sample_spec
from spritelora.sprites.pixels.image import Pixels, without_hidden_colour
from spritelora.sprites.sheets.sheet import Cut, SheetLayout, cut_image


def draw_cutouts(number: int, seed: int = 0) -> list[Pixels]:
    """Sprites of 16 x 16 with a transparent background, no two alike."""
    rng = np.random.default_rng(seed)
    sprites: list[Pixels] = []
    while len(sprites) < number:
        pixels = draw_sprite(sample_spec(rng), rng)
        alpha = np.where((pixels == pixels[0, 0]).all(axis=-1), 0, 255).astype(np.uint8)
        sprite = np.dstack([pixels, alpha])
        sprites.append(without_hidden_colour(sprite))
    return sprites


def lay_out(sprites: list[Pixels | None], columns: int, margin: int = 0, spacing: int = 0, pad: int = 0) -> Pixels:
    """A transparent sheet of sprites of one size, None for an empty cell, each padded within its cell."""
    side = 16 + 2 * pad
    rows = -(-len(sprites) // columns)
    size = [2 * margin + n * (side + spacing) - spacing for n in (rows, columns)]
    sheet = np.zeros((*size, 4), np.uint8)
    for i, sprite in enumerate(sprites):
        if sprite is not None:
            y, x = (margin + k * (side + spacing) + pad for k in divmod(i, columns))
            sheet[y : y + 16, x : x + 16] = sprite
    return sheet


def save(pixels: Pixels, file: Path) -> Path:
    Image.fromarray(pixels).save(file)
    return file


def assert_shows(cut: Cut, sprite: Pixels) -> None:
    assert np.array_equal(without_hidden_colour(cut.pixels), without_hidden_colour(sprite))


def tight(sprite: Pixels) -> Pixels:
    ys, xs = np.nonzero(sprite[..., 3])
    return sprite[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def rect(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def cut_sheet(sheet: Path, layout: SheetLayout | None = None, index: str = ".json") -> list[Cut]:
    """The sprites of a sheet by the data file of its name."""
    return cut_image(sheet, layout, all_frames=False, index=sheet.with_suffix(index))


def frame_at(x: int, y: int, side: int = 16, **changed: Any) -> dict[str, Any]:
    frame = {
        "frame": rect(x, y, side, side),
        "rotated": False,
        "trimmed": False,
        "spriteSourceSize": rect(0, 0, side, side),
        "sourceSize": {"w": side, "h": side},
        "duration": 100,
    }
    return {**frame, **changed}


def tag(name: str, first: int, last: int) -> dict[str, Any]:
    return {"name": name, "from": first, "to": last, "direction": "forward", "color": "#000000ff"}


def write_json(sheet: Path, frames: Any, tags: list[dict[str, Any]] | None = None, **meta: Any) -> None:
    size = Image.open(sheet).size
    facts = {
        "app": "https://www.aseprite.org/",
        "version": "1.3.2-x64",
        "image": sheet.name,
        "format": "RGBA8888",
        "size": {"w": size[0], "h": size[1]},
        "scale": "1",
        "frameTags": tags or [],
        "layers": [{"name": "Layer 1", "opacity": 255, "blendMode": "normal"}],
        "slices": [],
    }
    sheet.with_suffix(".json").write_text(json.dumps({"frames": frames, "meta": {**facts, **meta}}))
