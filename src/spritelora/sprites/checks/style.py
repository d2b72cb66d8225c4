"""The style of a sprite in numbers: its colours by cells of OKLab, and measures that do not depend on its hue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.checks.fingerprint import content_of
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.palette import Lab, to_oklab

CELL = 0.1
"""Side of a cell of colours in OKLab; two of one cell are shades of one colour."""

CELLS_PER_AXIS = 32

MEASURES: dict[str, float] = {
    "number of colours": 1.0,
    "colourfulness": 0.05,
    "lightness of the darkest parts": 0.15,
    "lightness": 0.15,
    "lightness of the lightest parts": 0.15,
    "share of pixels where the colour changes": 0.15,
    "contrast of neighbouring colours": 0.08,
    "lightness of the outline against the inside": 0.12,
    "size": 0.5,
}
"""Each measure with one unit of it, a difference that is plain to see. Counts and sizes are in octaves."""


@dataclass(frozen=True)
class StyleFacts:
    """The style of one sprite. `measures`: in units of `MEASURES`, (9,). `cells`, `shares`: OKLab cells by number, and
    the share of the drawn pixels in each, (N,).
    """

    measures: NDArray[np.float64]
    cells: NDArray[np.int64]
    shares: NDArray[np.float64]


def measure_style(sprite: Pixels) -> StyleFacts | None:
    """The style of a native RGBA sprite (h, w, 4); None where nothing is drawn."""
    content = content_of(sprite)
    is_drawn = np.ones(content.codes.shape, np.bool_)
    if content.background is not None:
        is_drawn = content.codes != content.background
    if not is_drawn.any():
        return None
    codes, places, counts = np.unique(content.codes[is_drawn], return_inverse=True, return_counts=True)
    colours = to_oklab(codes.view(np.uint8).reshape(-1, 4)[:, :3])
    image = np.zeros((*is_drawn.shape, 3))
    image[is_drawn] = colours[places.ravel()]
    raw = [np.log2(len(codes)), *_light_and_colour(colours, counts / counts.sum()), *_changes(image, is_drawn)]
    raw += [_outline_contrast(image[..., 0], is_drawn), np.log2(max(sprite.shape[:2]))]
    cells, shares = _cells(colours, counts / counts.sum())
    return StyleFacts(np.array(raw) / np.array(list(MEASURES.values())), cells, shares)


def _light_and_colour(colours: Lab, shares: NDArray[np.float64]) -> list[float]:
    """Mean chroma, and the lightness below which 10, 50 and 90 % of the pixels lie."""
    order = np.argsort(colours[:, 0])
    below = np.minimum(np.searchsorted(np.cumsum(shares[order]), (0.1, 0.5, 0.9)), len(order) - 1)
    return [float(shares @ np.hypot(colours[:, 1], colours[:, 2])), *colours[order, 0][below].tolist()]


def _changes(image: Lab, is_drawn: NDArray[np.bool_]) -> list[float]:
    """The share of neighbouring drawn pixels that differ, and by how much those do."""
    across = np.linalg.norm(image[:, 1:] - image[:, :-1], axis=-1)[is_drawn[:, 1:] & is_drawn[:, :-1]]
    down = np.linalg.norm(image[1:] - image[:-1], axis=-1)[is_drawn[1:] & is_drawn[:-1]]
    steps = np.concatenate([across, down])
    changes = steps[steps > 0]
    return [len(changes) / max(len(steps), 1), float(changes.mean()) if len(changes) else 0.0]


def _outline_contrast(lightness: NDArray[np.float64], is_drawn: NDArray[np.bool_]) -> float:
    """Lightness of the inside minus that of the outermost pixels."""
    padded = np.pad(is_drawn, 1)
    inside = is_drawn & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim = is_drawn & ~inside
    return float(lightness[inside].mean() - lightness[rim].mean()) if inside.any() and rim.any() else 0.0


def _cells(colours: Lab, shares: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    places = np.floor(colours / CELL + 0.5).astype(np.int64) + CELLS_PER_AXIS // 2
    numbers = places @ np.array([CELLS_PER_AXIS**2, CELLS_PER_AXIS, 1])
    cells, inverse = np.unique(numbers, return_inverse=True)
    return cells, np.bincount(inverse.ravel(), weights=shares).astype(np.float64)
