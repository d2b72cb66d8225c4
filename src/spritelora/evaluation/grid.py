"""The grid of native pixels in an image: how large they are, where they begin, and whether that holds all over."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.colours import VISIBLE, LabImage

Profile = NDArray[np.float64]
"""Edge strength at each position 1 to n - 1 between pixels, (windows, n - 1)."""

WINDOWS = 4
"""Parts of the image along each axis that must agree on the phase."""

OVERSAMPLING = 8
AS_GOOD = 0.85
"""Of the best coherence: multiples of the pitch stay below it, the pitch itself does not."""

LEAST_COHERENCE = 0.25
LEAST_PITCH_PX = 2.0
LEAST_PERIODS = 4


@dataclass(frozen=True)
class Edges:
    """The visible edges of an image. `across`: profiles along x, a row for each band of rows; `down`: along y."""

    across: Profile
    down: Profile


@dataclass(frozen=True)
class Grid:
    """Square cells: `cell_px` wide, the first whole one at `offset` (x, y), each 0 to cell_px - 1."""

    cell_px: int
    offset: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Phase:
    """The position of an image's edges on a grid of some pitch.

    `coherence`: mean resultant length of their positions modulo the pitch, 0 (anywhere) to 1 (all on one grid).
    `offset_px`: x and y of the grid they fit best, -pitch/2 to pitch/2. `drift_px`: circular standard deviation of
    the phase between parts of the image, 0 to pitch/2.
    Source: Mardia and Jupp 2000, Directional Statistics, sections 2.3 and 2.4.
    """

    coherence: float
    offset_px: tuple[float, float]
    drift_px: float


def step_strengths(lab: LabImage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The OKLab distance of each pixel to its right (H, W - 1) and to its lower neighbour (H - 1, W)."""
    right, below = lab[:, 1:] - lab[:, :-1], lab[1:] - lab[:-1]
    return tuple(np.sqrt(np.einsum("yxc,yxc->yx", step, step)) for step in (right, below))  # pyright: ignore


def find_edges(across: NDArray[np.float32], down: NDArray[np.float32]) -> Edges:
    """Sum steps (H, W - 1) and (H - 1, W) that can be seen into profiles, band by band."""
    return Edges(_profile(across), _profile(down.T))


def _profile(steps: NDArray[np.float32]) -> Profile:
    seen = np.where(steps > VISIBLE, steps, 0)
    bands = np.linspace(0, len(seen), WINDOWS, endpoint=False).astype(int)
    return np.add.reduceat(seen, bands, axis=0, dtype=np.float64)


def find_pitch(edges: Edges) -> float:
    """The size of a native pixel in image pixels, not bound to be whole; 1 where no grid is found, NaN without edges.

    The largest pitch, to a quarter of the image, on which the edges are nearly as coherent as on any: a grid of 8 px
    fits edges on multiples of 4 just as well, never of 16.
    """
    profiles = [edges.across.sum(0), edges.down.sum(0)]
    total = sum(p.sum() for p in profiles)
    if total == 0:
        return math.nan
    length = max(len(p) for p in profiles) + 1
    size = OVERSAMPLING * length
    coherence = np.asarray(sum(np.abs(np.fft.rfft(p, size)) for p in profiles)) / total
    lowest = size * LEAST_PERIODS // length
    inner = coherence[lowest : int(size / LEAST_PITCH_PX) + 1]
    peaks = np.flatnonzero((inner >= np.append(inner[1:], 0)) & (inner >= np.append(np.inf, inner[:-1])))
    good = peaks[inner[peaks] >= max(LEAST_COHERENCE, AS_GOOD * inner[peaks].max(initial=0))]
    return _refine(edges, size / (lowest + int(good[0])), size) if len(good) else 1.0


def _refine(edges: Edges, pitch: float, size: int) -> float:
    """The most coherent pitch within one step of the spectrum around a peak; a whole one wins a draw."""
    near = np.append(size / (size / pitch + np.linspace(-1, 1, 41)), round(pitch))
    lengths = np.zeros(len(near))
    for profile in (edges.across.sum(0), edges.down.sum(0)):
        lengths += np.abs(np.exp(2j * math.pi * np.arange(1, len(profile) + 1) / near[:, None]) @ profile)
    best = int(lengths.argmax())
    return float(near[-1] if lengths[-1] >= lengths[best] * (1 - 1e-6) else near[best])


def phase_at(edges: Edges, pitch_px: float) -> Phase:
    """The position of edges on a grid of that pitch; NaN throughout where there are no edges."""
    if not edges.across.any() and not edges.down.any():
        return Phase(math.nan, (math.nan, math.nan), math.nan)
    turns = [_window_sums(profile, pitch_px) for profile in (edges.across, edges.down)]
    means = [complex(z.sum()) for z in turns]
    length = sum(abs(mean) for mean in means)
    agreement = length / max(sum(float(np.abs(z).sum()) for z in turns), 1e-12)
    strength = edges.across.sum() + edges.down.sum()
    x, y = (float(np.angle(mean)) * pitch_px / (2 * math.pi) for mean in means)
    return Phase(float(length / strength), (x, y), _spread(agreement) * pitch_px)


def _window_sums(profile: Profile, pitch_px: float) -> NDArray[np.complex128]:
    """Edge strengths as arrows whose angle is the position modulo the pitch, summed window by window."""
    position = np.arange(1, profile.shape[1] + 1)
    arrows = profile * np.exp(2j * math.pi * position / pitch_px)
    return np.add.reduceat(arrows, np.linspace(0, len(position), WINDOWS, endpoint=False).astype(int), axis=1)


def _spread(agreement: float) -> float:
    """The circular standard deviation of a resultant length, in turns, at most a half."""
    if agreement >= 1 - 1e-12:
        return 0.0
    return min(0.5, math.sqrt(-2 * math.log(max(agreement, 1e-12))) / (2 * math.pi))


def off_grid_share(edges: Edges, grid: Grid) -> float:
    """The share of edge strength that lies between the lines of a grid.

    0 (every edge is on a cell's border) to 1; 1 - 1/cell where edges lie anywhere. NaN without edges.
    """
    total = edges.across.sum() + edges.down.sum()
    if total == 0:
        return math.nan
    profiles = zip((edges.across.sum(0), edges.down.sum(0)), grid.offset, strict=True)
    on_grid = sum(p[(np.arange(1, len(p) + 1) - start) % grid.cell_px == 0].sum() for p, start in profiles)
    return float(max(0.0, 1 - on_grid / total))


def find_grid(edges: Edges, pitch_px: float) -> Grid:
    """The whole-pixel grid nearest to a pitch and to the phase of the edges; cells of 1 px where none was found."""
    if math.isnan(pitch_px) or pitch_px < LEAST_PITCH_PX:
        return Grid(1)
    cell_px = round(pitch_px)
    x, y = phase_at(edges, pitch_px).offset_px
    return Grid(cell_px, (round(x) % cell_px, round(y) % cell_px))
