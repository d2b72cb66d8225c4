"""From a grid of materials to an image, in one of several styles."""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn.material_grid import Mask, Material
from spritelora.embedded.drawn.ramps import MATERIAL_COLOURS, Rgb, mix, ramp_of

Cells = NDArray[np.uint8]
Pixels = NDArray[np.uint8]


class Style(StrEnum):
    """A way of painting; the value is the phrase that a caption uses."""

    SHADED = "shaded"
    FLAT = "flat"
    BLACK_OUTLINE = "black outline"
    MONOCHROME = "monochrome"
    DITHERED = "dithered"
    LIGHT_ON_DARK = "light on dark"
    LINE_ART = "line art"


def neighbours_any(mask: Mask) -> Mask:
    """Cells with a cell of the mask above, below, left or right of them."""
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]


def outline_of(cells: Cells) -> Mask:
    """Empty cells that touch the sprite."""
    filled = cells != Material.EMPTY
    return neighbours_any(filled) & ~filled


def double(cells: Cells) -> Cells:
    """A grid of materials at twice its size, its slanted edges smoothed. Source: Scale2x, scale2x.it/algorithm."""
    padded = np.pad(cells, 1, mode="edge")
    above, below, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    is_edge = (above != below) & (left != right)
    doubled = cells.repeat(2, 0).repeat(2, 1)
    for row, vertical in enumerate((above, below)):
        for column, horizontal in enumerate((left, right)):
            doubled[row::2, column::2] = np.where(is_edge & (vertical == horizontal), vertical, cells)
    return doubled


def shade_levels(cells: Cells) -> NDArray[np.float64]:
    """The light on each cell, from above left: about -1 (shadow) to 1 (light)."""
    filled = cells != Material.EMPTY
    rows, columns = np.nonzero(filled)
    y, x = np.indices(cells.shape, np.float64)
    across = (x - columns.mean()) / max(float(np.ptp(columns)) / 2, 1.0)
    down = (y - rows.mean()) / max(float(np.ptp(rows)) / 2, 1.0)
    return -(0.55 * across + 0.75 * down)


def paint_ramp(pixels: Pixels, where: Mask, colour: Rgb, light: NDArray[np.float64]) -> None:
    """Paint three steps of a colour's ramp on the cells of a mask."""
    _, shadow, middle, bright = ramp_of(colour)
    pixels[where] = middle
    pixels[where & (light < -0.38)] = shadow
    pixels[where & (light > 0.42)] = bright


def paint_materials(pixels: Pixels, cells: Cells, colour: Rgb, paint: Callable[[Mask, Rgb], None]) -> None:
    """Paint each material in its own colour, details and shines flat."""
    paint(cells == Material.BODY, colour)
    for material, material_colour in MATERIAL_COLOURS.items():
        if material in (Material.DETAIL, Material.SHINE):
            pixels[cells == material] = material_colour
        else:
            paint(cells == material, material_colour)


def paint_shaded(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """Three shades a material and an outline of the body's darkest shade."""
    light = shade_levels(cells)
    paint_materials(pixels, cells, colour, lambda where, paint: paint_ramp(pixels, where, paint, light))
    pixels[outline_of(cells)] = ramp_of(colour)[0]


def paint_flat(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """One colour a material, no outline, no shine."""

    def paint(where: Mask, flat: Rgb) -> None:
        pixels[where] = flat

    paint_materials(pixels, cells, colour, paint)
    pixels[cells == Material.SHINE] = ramp_of(colour)[3]


def paint_black_outline(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """One colour a material inside a black outline, white shines."""
    paint_flat(pixels, cells, colour)
    pixels[cells == Material.SHINE] = (255, 255, 255)
    pixels[outline_of(cells) | (cells == Material.DETAIL)] = (0, 0, 0)


def paint_monochrome(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """Every material from the body's own ramp."""
    outline, shadow, _, bright = ramp_of(colour)
    light = shade_levels(cells)
    paint_ramp(pixels, cells == Material.BODY, colour, light)
    pixels[(cells == Material.DETAIL) | outline_of(cells)] = outline
    pixels[(cells == Material.SHINE) | (cells == Material.CREAM)] = mix(bright, (255, 255, 255), 0.5)
    pixels[(cells == Material.GOLD) | (cells == Material.METAL)] = bright
    pixels[(cells == Material.WOOD) | (cells == Material.LEAF)] = shadow


def paint_dithered(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """Two shades a material with a checkerboard between them."""
    light = shade_levels(cells)
    y, x = np.indices(cells.shape)
    checker = (x + y) % 2 == 0

    def paint(where: Mask, flat: Rgb) -> None:
        _, shadow, _, _ = ramp_of(flat)
        pixels[where] = flat
        pixels[where & ((light < -0.45) | ((light < 0.1) & checker))] = shadow

    paint_materials(pixels, cells, colour, paint)
    pixels[outline_of(cells)] = ramp_of(colour)[0]


def paint_light_on_dark(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """A bright contour and bright details around a body that is almost as dark as the night behind it."""
    pixels[cells != Material.EMPTY] = mix(colour, (12, 10, 24), 0.62)
    pixels[(cells != Material.EMPTY) & (cells != Material.BODY)] = mix(colour, (255, 255, 255), 0.45)
    pixels[(cells == Material.DETAIL) | outline_of(cells)] = mix(colour, (255, 255, 255), 0.08)


def paint_line_art(pixels: Pixels, cells: Cells, colour: Rgb) -> None:
    """A coloured contour and coloured details around a white body."""
    pixels[cells != Material.EMPTY] = (255, 255, 255)
    pixels[(cells != Material.EMPTY) & (cells != Material.BODY) & (cells != Material.SHINE)] = mix(
        colour, (255, 255, 255), 0.35
    )
    pixels[(cells == Material.DETAIL) | outline_of(cells)] = colour


PAINTERS: dict[Style, Callable[[Pixels, Cells, Rgb], None]] = {
    Style.SHADED: paint_shaded,
    Style.FLAT: paint_flat,
    Style.BLACK_OUTLINE: paint_black_outline,
    Style.MONOCHROME: paint_monochrome,
    Style.DITHERED: paint_dithered,
    Style.LIGHT_ON_DARK: paint_light_on_dark,
    Style.LINE_ART: paint_line_art,
}


def render(cells: Cells, style: Style, colour: Rgb, background: Rgb) -> Pixels:
    """Paint a grid of materials on a plain background. Returns (H, W, 3) uint8."""
    pixels = np.empty((*cells.shape, 3), np.uint8)
    pixels[:] = background
    PAINTERS[style](pixels, cells, colour)
    return pixels
