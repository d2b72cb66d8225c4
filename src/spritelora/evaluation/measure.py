"""All metrics of images, by the names of the registry."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.cells import cell_spread, snap, snap_residual, stray
from spritelora.evaluation.colours import (
    LabImage,
    Palette,
    count_visible_colours,
    image_oklab,
    palette_coverage,
    palette_distance,
)
from spritelora.evaluation.grid import (
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
from spritelora.sprites.image import Pixels


@dataclass(frozen=True)
class Reference:
    """What images are held against. `index`: None leaves `copy_distance` out."""

    palette: Palette
    index: SpriteIndex | None = None


@dataclass(frozen=True)
class Measured:
    """An image with its numbers. `native`: snapped, (h, w, 3). `match`: the nearest training sprite, where asked for."""

    values: dict[str, float]
    native: Pixels
    match: Match | None


def measure_image(image: Pixels, reference: Reference, grid: Grid | None = None) -> Measured:
    """Every metric of one RGB image (H, W, 3) but `clip`; NaN where an image has nothing to measure.

    `grid`: the wanted one, such as Grid(8) for native pixels of 8 px from the corner; None: the one found, against
    which `pitch_error_px` and `phase_px` say only what whole pixels leave.
    """
    lab = image_oklab(image)
    across, down = step_strengths(lab)
    edges = find_edges(across, down)
    pitch_px = find_pitch(edges)
    grid = grid or find_grid(edges, pitch_px)
    native = snap(image, grid)
    native_lab = image_oklab(native)
    strayed = stray(lab, native_lab, grid)
    match = reference.index.nearest(native) if reference.index else None
    values = {
        **_grid_values(edges, pitch_px, grid),
        "cell_spread": cell_spread(strayed, grid),
        "snap_residual": snap_residual(strayed),
        "in_between": in_between_share(lab, across, down),
        **_sprite_values(lab, native, native_lab, grid),
        "palette_distance": palette_distance(native, reference.palette),
        "palette_coverage": palette_coverage(native, reference.palette),
    }
    return Measured(values | ({"copy_distance": match.distance} if match else {}), native, match)


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
        "fraction_px": abs(pitch_px - round(pitch_px)) if not math.isnan(pitch_px) else math.nan,
        "phase_px": max(moved),
        "drift_px": phase.drift_px,
        "off_grid": off_grid_share(edges, grid),
    }


def _around(moved_px: float, cell_px: int) -> float:
    """The shorter way round a cell, 0 to cell_px / 2."""
    return abs((moved_px + cell_px / 2) % cell_px - cell_px / 2)


def _sprite_values(lab: LabImage, native: Pixels, native_lab: LabImage, grid: Grid) -> dict[str, float]:
    return {
        "halo": halo(lab, native, native_lab, grid),
        "num_colours": float(count_visible_colours(native)),
        "seam": seam(native_lab),
    }
