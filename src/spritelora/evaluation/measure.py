"""All metrics of images, by the names of the registry."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import DatasetError
from spritelora.evaluation.cell_colours import cell_spread, snap, snap_residual, stray
from spritelora.evaluation.colours import (
    Palette,
    count_visible_colours,
    image_oklab,
    palette_coverage,
    palette_distance,
)
from spritelora.evaluation.grid import (
    LEAST_PITCH_PX,
    Edges,
    Grid,
    find_edges,
    find_grid,
    find_pitch,
    off_grid_share,
    phase_at,
    step_strengths,
)
from spritelora.evaluation.memorisation import Match, SpriteIndex
from spritelora.evaluation.silhouette import halo, in_between_share, seam
from spritelora.sprites.pixels.image import Pixels

OF_CELLS = ("pitch_error_px", "phase_px", "drift_px", "off_grid", "cell_spread", "snap_residual", "halo")
"""Metrics that cells of one pixel say nothing about."""


@dataclass(frozen=True)
class Reference:
    """The training sprites that images are compared with. `index`: None leaves `copy_distance` out."""

    palette: Palette
    index: SpriteIndex | None = None


@dataclass(frozen=True)
class Measured:
    """An image with its numbers. `native`: snapped, (h, w, 3). `match`: the nearest training sprite, if looked for."""

    values: dict[str, float]
    native: Pixels
    match: Match | None


def measure_image(image: Pixels, reference: Reference, grid: Grid | None = None) -> Measured:
    """Every metric of one RGB image (H, W, 3) but `clip`; NaN where an image has nothing to measure.

    `grid`: the wanted one, such as Grid(8) for native pixels of 8 px from the corner; None: the one found, against
    which `pitch_error_px` and `phase_px` say only what whole pixels leave. Where none is found, native pixels are the
    image's own, and what is said of cells is NaN; so is `copy_distance` where the snapped image is larger than the
    training sprites. Raises DatasetError for what is not RGB, and for an image smaller than a cell.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DatasetError(f"an image to measure is RGB, (H, W, 3) uint8; got {image.shape} {image.dtype}: convert it")
    lab = image_oklab(image)
    across, down = step_strengths(lab)
    edges = find_edges(across, down)
    pitch_px = find_pitch(edges)
    grid = grid or find_grid(edges, pitch_px)
    native = snap(image, grid)
    native_lab = image_oklab(native)
    strayed = stray(lab, native_lab, grid)
    values = {
        **_grid_values(edges, pitch_px, grid),
        "off_grid": off_grid_share(edges, grid),
        "cell_spread": cell_spread(strayed, grid),
        "snap_residual": snap_residual(strayed),
        "in_between": in_between_share(lab, across, down),
        "halo": halo(lab, native, native_lab, grid),
        "num_colours": float(count_visible_colours(native)),
        "palette_distance": palette_distance(native, reference.palette),
        "palette_coverage": palette_coverage(native, reference.palette),
        "seam": seam(native_lab),
    }
    if grid.cell_px == 1:
        values |= dict.fromkeys(OF_CELLS, math.nan)
    return _with_match(Measured(values, native, None), reference.index)


def measure_images(
    images: Sequence[Pixels], reference: Reference, grid: Grid | None = None
) -> dict[str, NDArray[np.float64]]:
    """Every metric of each image: by name, (N,). See `measure_image`."""
    rows = [measure_image(image, reference, grid).values for image in images]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _grid_values(edges: Edges, pitch_px: float, grid: Grid) -> dict[str, float]:
    phase = phase_at(edges, grid.cell_px)
    moved = [_around(found - wanted, grid.cell_px) for found, wanted in zip(phase.offset_px, grid.offset, strict=True)]
    return {
        "pitch_px": pitch_px,
        "pitch_error_px": abs(pitch_px - grid.cell_px),
        "fraction_px": _fraction(pitch_px),
        "phase_px": max(moved),
        "drift_px": phase.drift_px,
    }


def _around(moved_px: float, cell_px: int) -> float:
    """The shorter way round a cell, 0 to cell_px / 2."""
    return abs((moved_px + cell_px / 2) % cell_px - cell_px / 2)


def _fraction(pitch_px: float) -> float:
    """The way to the next whole number of pixels; a half where no grid was found, for nothing is less whole."""
    if math.isnan(pitch_px):
        return math.nan
    return abs(pitch_px - round(pitch_px)) if pitch_px >= LEAST_PITCH_PX else 0.5


def _with_match(measured: Measured, index: SpriteIndex | None) -> Measured:
    if index is None:
        return measured
    match = index.nearest(measured.native) if max(measured.native.shape[:2]) <= index.side_px else None
    distance = match.distance if match else math.nan
    return Measured(measured.values | {"copy_distance": distance}, measured.native, match)
