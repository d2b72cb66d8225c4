"""Sprites within one image file: cells of a sheet, frames of an animation."""

from dataclasses import dataclass
from pathlib import Path

from spritelora.sprites.image import Pixels, read_sprite


@dataclass(frozen=True)
class SheetLayout:
    """How a sheet is divided, in pixels. `cell`: width and height, None to find the cells by their gaps."""

    cell: tuple[int, int] | None
    margin: int = 0
    spacing: int = 0


@dataclass(frozen=True)
class Cut:
    """One sprite of an image file.

    `tag`: what tells it from its siblings, empty for a whole image. `pixels`: RGBA, (H, W, 4). `words`: for its
    caption, from the names of tags and frames.
    """

    tag: str
    pixels: Pixels
    words: tuple[str, ...]


def cut_image(file: Path, layout: SheetLayout | None, all_frames: bool) -> list[Cut]:
    """The sprites of an image file: of a sheet, of all frames or the first. Raises DatasetError as `read_sprite`."""
    return [Cut("", read_sprite(file), ())]
