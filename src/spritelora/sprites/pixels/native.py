"""The native pixels of a sprite that was enlarged: how large each is, and where the first whole one begins."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.edges import (
    NOISE_STEP,
    Grid,
    Packed,
    Profile,
    change_positions,
    distance,
    edge_planes,
    edge_profile,
    fit_grid,
    pack_colours,
    spacing,
)
from spritelora.sprites.pixels.image import Pixels

MIN_CONFIDENCE = 0.9
"""A factor above 1 is reported from this confidence on."""

MIN_LINES = 3
"""Along each axis edges lie on so many lines of the grid, or it is no guess: a lone square shows nothing."""

SHARP_FACTORS = range(3, 129)
"""Factors sought under JPEG noise; cells of two pixels are lost in it."""

SOFT_FACTORS = range(5, 129)
"""Factors sought where edges are spread over two boundaries."""

DETAIL_TO_NOISE = 1.5

MIN_CELLS = 5
"""An image that is not flat has at least so many native pixels along each axis, or it is no guess."""

FEW_COLOURS, MANY_COLOURS = 96, 768
"""Colours up to which an image at native size may be drawn for certain, and from which on it is a photograph."""

SAMPLED_PIXELS = 1 << 16

SOFT_STEP = 6
"""Neighbours that differ by less are a gradient's, not a drawn edge's; in the largest channel."""


@dataclass(frozen=True)
class NativeScale:
    """The enlargement of an image from its native pixels.

    `factor`: image pixels to a native pixel, 1 where no enlargement was found. `offset`: x and y of the first whole
    native pixel's left and upper edge, 0 to factor - 1; above 0 the image begins within a native pixel.
    `confidence`: 0 to 1; at factor 1, how much the image looks drawn pixel by pixel. `exact`: every native pixel is
    one flat colour.
    """

    factor: int
    offset: tuple[int, int]
    confidence: float
    exact: bool


def detect_scale(image: Pixels) -> NativeScale:
    """Find how an RGBA image (H, W, 4) was enlarged; colour under alpha 0 plays no part.

    Where all colour changes lie on one grid, the factor is its spacing. Otherwise (JPEG, softened edges) it is the
    largest spacing that the strong edges keep to. An image whose edges prove nothing is factor 1.
    """
    packed = pack_colours(image)
    found = detect_flat(packed) or detect_blurred(image)
    return found or NativeScale(1, (0, 0), drawn_confidence(image, packed), True)


def detect_flat(packed: Packed) -> NativeScale | None:
    """The scale of a clean enlargement, by the greatest common divisor of the distances between colour changes.

    Image borders are no colour changes, so a cropped first or last pixel does no harm. That n distances share a
    divisor f by chance has probability f ** -n; half of them are counted, since sprites are often symmetric.
    """
    columns, rows = change_positions(packed), change_positions(packed.T)
    factor = math.gcd(spacing(columns), spacing(rows))
    if factor < 2 or min(len(columns), len(rows)) < MIN_LINES:
        return None
    confidence = 1 - factor ** (-(len(columns) + len(rows) - 2) / 2)
    if confidence < MIN_CONFIDENCE:
        return None
    return NativeScale(factor, (int(columns[0]) % factor, int(rows[0]) % factor), confidence, True)


def detect_blurred(image: Pixels) -> NativeScale | None:
    """The scale of an enlargement whose cells are not flat: sharp edges are sought first, then softened ones."""
    if min(image.shape[:2]) < SHARP_FACTORS.start * MIN_CELLS:
        return None
    planes = edge_planes(image)
    profiles = edge_profile(planes), edge_profile([plane.T for plane in planes])
    return fit_scale(profiles, SHARP_FACTORS, 1) or fit_scale(profiles, SOFT_FACTORS, 2)


def fit_scale(profiles: tuple[Profile, Profile], factors: range, width: int) -> NativeScale | None:
    """The largest spacing that keeps nearly as much edge as the best one, in the worse axis."""
    largest = min(len(profile) for profile in profiles) // MIN_CELLS
    grids = {f: [fit_grid(profile, f, width) for profile in profiles] for f in factors if f <= largest}
    if not grids:
        return None
    shares = {factor: min(grid.share for grid in pair) for factor, pair in grids.items()}
    best = max(shares.values())
    coarsest = max(factor for factor, share in shares.items() if share >= best - 0.03)
    factor = finest_detail(profiles, grids, coarsest)
    if factor != coarsest:
        shares = {f: share for f, share in shares.items() if f % factor or f == factor}
    confidence = grid_confidence(profiles, grids[factor], factor, shares)
    if confidence < MIN_CONFIDENCE:
        return None
    x, y = (grid.offset for grid in grids[factor])
    return NativeScale(factor, (x, y), confidence, False)


def finest_detail(profiles: tuple[Profile, Profile], grids: dict[int, list[Grid]], coarsest: int) -> int:
    """The grid that a few smaller details need, such as single pixels on a sprite of twice enlarged ones.

    It divides the coarsest one, and both axes have a line of it that stands out from what lies between its lines.
    """
    for factor in sorted((f for f in grids if coarsest % f == 0 and f < coarsest), reverse=True):
        if all(
            stands_out(profile, grid.offset, coarsest, factor)
            for profile, grid in zip(profiles, grids[coarsest], strict=True)
        ):
            return factor
    return coarsest


def stands_out(profile: Profile, offset: int, coarse: int, fine: int) -> bool:
    """Whether the fine grid has, beyond the coarse one, a line far above the noise between its lines."""
    places = np.arange(len(profile)) - offset
    detail = profile[(places % fine == 0) & (places % coarse != 0)].max(initial=0.0)
    noise = profile[places % fine != 0].max(initial=0.0)
    return bool(detail > DETAIL_TO_NOISE * noise and detail >= fine * NOISE_STEP)


def grid_confidence(
    profiles: tuple[Profile, Profile], grids: list[Grid], factor: int, shares: dict[int, float]
) -> float:
    """The confidence in a grid: by the share of edges it keeps, its lines that bear any, and its nearest rival."""
    lines = [int((p[g.offset :: factor] > 0).sum()) for p, g in zip(profiles, grids, strict=True)]
    if min(lines) < MIN_LINES:
        return 0.0
    rival = max((share for f, share in shares.items() if factor % f and share < shares[factor]), default=0.0)
    evidence = 1 - factor ** (-(sum(lines) - 2) / 2)
    kept = min(1.0, shares[factor] / 0.85)
    apart = min(1.0, max(0.0, (shares[factor] - rival) / 0.15))
    return evidence * kept * apart


def drawn_confidence(image: Pixels, packed: Packed) -> float:
    """The confidence that an image without enlargement is drawn: few colours, flat places, hard steps.

    0 for noise, gradients and photographs. Of a large image every second, third, ... row is read.
    """
    stride = 1 + packed.size // SAMPLED_PIXELS
    rows, colours = packed[::stride], image[::stride]
    visible = np.sort(rows[rows > 0])
    if visible.size == 0:
        return 0.0
    count = 1 + int(np.count_nonzero(visible[1:] != visible[:-1]))
    few = min(1.0, max(0.0, math.log(MANY_COLOURS / count) / math.log(MANY_COLOURS / FEW_COLOURS)))
    different = rows[:, 1:] != rows[:, :-1]
    flat = 1 - float(different.mean()) if different.size else 0.0
    steps = distance(colours[:, 1:][different], colours[:, :-1][different])
    hard = float((steps >= SOFT_STEP).mean()) if len(steps) else 0.0
    return few * hard * min(1.0, 2 * (1 - count / visible.size)) * min(1.0, 5 * flat)


def cell_starts(length: int, factor: int, offset: int) -> NDArray[np.intp]:
    """Where each native pixel begins along an axis; negative for the first if it is cut."""
    return np.arange(offset - factor if offset else 0, length, factor)


def to_native(image: Pixels, scale: NativeScale) -> Pixels:
    """One pixel for each native pixel, those cut by the image's border included.

    `image`: RGBA, (H, W, 4). Returns RGBA: of a flat native pixel its own colour, bit for bit; otherwise the median
    of its inner part, colour that of visible pixels only.
    """
    if scale.factor == 1:
        return image
    starts = [cell_starts(n, scale.factor, o) for n, o in zip(image.shape[1::-1], scale.offset, strict=True)]
    if scale.exact:
        columns, rows = (np.maximum(s, 0) for s in starts)
        return image[rows[:, None], columns]
    margin = max(1, scale.factor // 4)
    inner = np.arange(margin, scale.factor - margin)
    columns, rows = (np.clip(s[:, None] + inner, 0, n - 1) for s, n in zip(starts, image.shape[1::-1], strict=True))
    cells = image[rows[:, None, :, None], columns[None, :, None, :]]
    return cell_medians(cells.reshape(len(rows), len(columns), -1, 4))


def cell_medians(cells: Pixels) -> Pixels:
    """The median of each cell's pixels by channel, colour among the visible ones. `cells`: (h, w, n, 4)."""
    alpha = np.sort(cells[..., 3], axis=2)[:, :, (cells.shape[2] - 1) // 2]
    visible = cells[..., 3] > 0
    colours = np.sort(np.where(visible[..., None], cells[..., :3], np.int16(256)), axis=2)
    middle = np.maximum(visible.sum(axis=2) - 1, 0) // 2
    colour = np.take_along_axis(colours, middle[:, :, None, None], axis=2)[:, :, 0]
    return np.dstack([np.where(alpha[..., None] > 0, colour, 0), alpha]).astype(np.uint8)
