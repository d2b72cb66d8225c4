"""An image against itself drawn with one colour a cell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import DatasetError
from spritelora.evaluation.colours import LabImage
from spritelora.evaluation.grid import Grid
from spritelora.sprites.pixels.image import Pixels


def crop_to_cells(image: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """The whole cells of an image (H, W, C); parts of cells at its borders fall away.

    Raises DatasetError for an image without a whole cell.
    """
    x, y = grid.offset
    height, width = (image.shape[0] - y) // grid.cell_px, (image.shape[1] - x) // grid.cell_px
    if min(height, width) < 1:
        raise DatasetError(
            f"an image of {image.shape[1]}x{image.shape[0]} px has no whole cell of {grid.cell_px} px from {x}, {y}; "
            f"give the size of its native pixels"
        )
    return image[y : y + height * grid.cell_px, x : x + width * grid.cell_px]


def split_cells(image: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """The pixels of each whole cell. `image`: (H, W, C). Returns (h, w, cell_px * cell_px, C)."""
    size, inner = grid.cell_px, crop_to_cells(image, grid)
    rows, columns = inner.shape[0] // size, inner.shape[1] // size
    cells = inner.reshape(rows, size, columns, size, -1).transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows, columns, size * size, -1)


def snap(image: Pixels, grid: Grid) -> Pixels:
    """One colour for each whole cell: (h, w, 3).

    The median of each channel over the inner half of the cell (all of it below 4 px). It is the mode wherever one
    colour holds more than half of that, and does not jump with a decoder's noise as the mode does; what neighbours
    bleed into the rim has no vote.
    """
    rim = grid.cell_px // 4
    size, inner = grid.cell_px, crop_to_cells(image, grid)
    rows, columns = inner.shape[0] // size, inner.shape[1] // size
    blocks = inner.reshape(rows, size, columns, size, -1)[:, rim : size - rim, :, rim : size - rim]
    cells = np.ascontiguousarray(blocks.transpose(0, 2, 4, 1, 3)).reshape(rows, columns, image.shape[2], -1)
    middle = (cells.shape[-1] - 1) // 2
    return np.partition(cells, middle, axis=-1)[..., middle]


def stray(lab: LabImage, native_lab: LabImage, grid: Grid) -> LabImage:
    """An image minus its snapped form: (h * cell_px, w * cell_px, 3)."""
    cells = crop_to_cells(lab, grid)
    return cells - native_lab.repeat(grid.cell_px, axis=0).repeat(grid.cell_px, axis=1)


def snap_residual(strayed: LabImage) -> float:
    """The mean OKLab distance of an image to its own snapped form: 0 to about 0.5."""
    return float(np.sqrt(_squares(strayed)).mean())


def cell_spread(strayed: LabImage, grid: Grid) -> float:
    """The spread of colours inside cells: the root of the mean variance of a cell in OKLab, 0 to about 0.5."""
    size, (height, width) = grid.cell_px, (n // grid.cell_px for n in strayed.shape[:2])
    means = strayed.reshape(height, size, width, size, 3).mean(axis=(1, 3))
    return float(np.sqrt(max(0.0, _squares(strayed).mean() - _squares(means).mean())))


def _squares(image: LabImage) -> NDArray[np.float32]:
    return np.einsum("yxc,yxc->yx", image, image)
