"""The base model that comes with the package, and the canvases that a base was taught."""

import json
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, cast

from spritelora import limits
from spritelora.errors import WeightsError
from spritelora.files import read_json, write_whole
from spritelora.sprites.pixels.image import LATENT_PX

CANVASES = "canvases.json"
"""Beside the model card: the canvases that the base was taught, width before height in pixels."""
SDXL_SIDE_PX, MOST_PX = 1024, 16384
SDXL_GB = 7
"""The download of SDXL: in fp16, with its VAE in full."""
STEP_PX = 32
"""Sides are multiples of it: the UNet halves a latent twice."""


def embedded_base() -> Path:
    """The folder of the embedded base, a plain diffusers folder."""
    return Path(str(resources.files("spritelora"))) / "assets" / "tiny-sdxl"


def known_canvases(base: Path) -> list[tuple[int, int]] | None:
    """The canvases that a base knows, width before height; None for one that was trained as SDXL was.

    A base that is no SDXL in size, and does not say more, knows its square alone. Raises WeightsError for a list that
    is none.
    """
    file = base / CANVASES
    if file.is_file():
        return _read(file)
    with suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
        side_px = LATENT_PX * int(read_json(base / "unet" / "config.json")["sample_size"])
        return None if side_px == SDXL_SIDE_PX else [(side_px, side_px)]
    return None


def write_canvases(base: Path, canvases: Sequence[tuple[int, int]]) -> None:
    """Write into a base's folder which canvases it knows."""
    write_whole(base / CANVASES, json.dumps([list(canvas) for canvas in canvases]) + "\n")


def _read(file: Path) -> list[tuple[int, int]]:
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{file}: cannot be read ({error}); mend or remove it, or type data.shapes=square"
        ) from error
    pairs = cast(list[Any], content) if isinstance(content, list) else [content]
    try:
        limits.CANVASES.check(len(pairs))
    except ValueError as error:
        raise WeightsError(f"{file}: {error}") from error
    if not all(_is_pair(pair) for pair in pairs):
        raise WeightsError(
            f"{file}: no list of widths and heights in pixels, such as [[128, 192]]; mend or remove it, or type "
            f"data.shapes=square"
        )
    return [(width, height) for width, height in pairs]


def _is_pair(value: object) -> bool:
    sides = cast(list[Any], value) if isinstance(value, list) else []
    return len(sides) == 2 and all(type(n) is int and 0 < n <= MOST_PX and n % STEP_PX == 0 for n in sides)
