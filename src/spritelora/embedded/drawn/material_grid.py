"""A 16 x 16 grid of materials: what a subject is drawn into before it gets colours."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

GRID_PX = 16

Mask = NDArray[np.bool_]


class Material(IntEnum):
    """The material of a cell; BODY is the one that the colour word of a caption names."""

    EMPTY = 0
    BODY = 1
    DETAIL = 2
    SHINE = 3
    WOOD = 4
    METAL = 5
    GOLD = 6
    LEAF = 7
    CREAM = 8


class Grid:
    """Draws shapes given in unit coordinates: the sprite spans -1 to 1, x to the right, y down.

    `half_width_px`, `half_height_px`: half the sprite's extent, in pixels. A cell belongs to a shape when its centre
    does, so shapes symmetric about 0 come out symmetric.
    """

    def __init__(self, half_width_px: float, half_height_px: float) -> None:
        centres = np.arange(GRID_PX, dtype=np.float64) - (GRID_PX - 1) / 2
        self._x_px, self._y_px = np.meshgrid(centres, centres)
        self._half_px = (half_width_px, half_height_px)
        self.x = self._x_px / half_width_px
        self.y = self._y_px / half_height_px
        self.cells: NDArray[np.uint8] = np.zeros((GRID_PX, GRID_PX), np.uint8)

    def fill(self, where: Mask, material: Material) -> None:
        """Lay a material on the cells of a mask."""
        self.cells[where] = material

    def disc(self, x: float, y: float, half_w: float, half_h: float) -> Mask:
        """Cells inside an ellipse."""
        return ((self.x - x) / half_w) ** 2 + ((self.y - y) / half_h) ** 2 <= 1.0

    def box(self, left: float, top: float, right: float, bottom: float) -> Mask:
        """Cells inside a rectangle."""
        return (self.x >= left) & (self.x <= right) & (self.y >= top) & (self.y <= bottom)

    def polygon(self, corners: Sequence[tuple[float, float]]) -> Mask:
        """Cells inside a closed polygon, by the even-odd rule."""
        inside = np.zeros((GRID_PX, GRID_PX), np.bool_)
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if y0 == y1:
                continue
            crosses = (y0 > self.y) != (y1 > self.y)
            inside ^= crosses & (self.x < (x1 - x0) * (self.y - y0) / (y1 - y0) + x0)
        return inside

    def stroke(self, start: tuple[float, float], end: tuple[float, float], width_px: float) -> Mask:
        """Cells nearer to a line segment than half its width; the width does not scale with the sprite."""
        width, height = self._half_px
        x0, y0, x1, y1 = start[0] * width, start[1] * height, end[0] * width, end[1] * height
        run, rise = x1 - x0, y1 - y0
        along = np.clip(((self._x_px - x0) * run + (self._y_px - y0) * rise) / (run * run + rise * rise), 0.0, 1.0)
        distance_px = np.hypot(self._x_px - x0 - along * run, self._y_px - y0 - along * rise)
        return distance_px <= width_px / 2

    def dot(self, x: float, y: float, size_px: int = 1) -> Mask:
        """The square of cells nearest to a point."""
        column = round(x * self._half_px[0] + (GRID_PX - 1) / 2 - (size_px - 1) / 2)
        row = round(y * self._half_px[1] + (GRID_PX - 1) / 2 - (size_px - 1) / 2)
        where = np.zeros((GRID_PX, GRID_PX), np.bool_)
        where[max(row, 0) : row + size_px, max(column, 0) : column + size_px] = True
        return where
