"""Every metric of an image: its unit, which way is better, its range and its meaning. Tables and pages read this."""

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way is better; NEITHER is said for the record and takes no part in verdicts."""

    LOWER = "lower is better"
    HIGHER = "higher is better"
    NEITHER = "neither way is better"


@dataclass(frozen=True)
class Metric:
    """A number an image is judged by.

    `unit`: as it is written after the number, empty for shares and counts. `low`, `high`: of its range; `high` is
    None where only the image bounds it. `digits`: after the point, in tables. `meaning`: one line.
    """

    name: str
    title: str
    unit: str
    direction: Direction
    low: float
    high: float | None
    digits: int
    meaning: str

    @property
    def best(self) -> float | None:
        """The best value there is; None where there is none, or only the image bounds it."""
        return {Direction.LOWER: self.low, Direction.HIGHER: self.high, Direction.NEITHER: None}[self.direction]

    def format(self, value: float) -> str:
        """A value with its unit, as tables show it; a dash for NaN."""
        return "-" if value != value else f"{value:.{self.digits}f} {self.unit}".rstrip()


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


LOWER, HIGHER, NEITHER = Direction.LOWER, Direction.HIGHER, Direction.NEITHER

METRICS: dict[str, Metric] = _by_name(
    Metric("pitch_px", "native pixel size", "px", NEITHER, 1, None, 2, "image pixels to a native pixel, as found"),
    Metric("pitch_error_px", "pitch error", "px", LOWER, 0, None, 2, "how far the pixel size found is from the wanted"),
    Metric("fraction_px", "pitch fraction", "px", LOWER, 0, 0.5, 2, "how far the pixel size is from a whole number"),
    Metric("phase_px", "phase", "px", LOWER, 0, None, 2, "how far the grid of the edges is moved from the wanted grid"),
    Metric("drift_px", "phase drift", "px", LOWER, 0, None, 2, "how far that differs between parts of the image"),
    Metric("off_grid", "off-grid edges", "", LOWER, 0, 1, 3, "share of edge strength that is not on a cell's border"),
    Metric("cell_spread", "spread in cells", "OKLab", LOWER, 0, 1, 4, "deviation of colour inside native pixels"),
    Metric("snap_residual", "snap residual", "OKLab", LOWER, 0, 1, 4, "distance to the image with one colour a cell"),
    Metric("in_between", "in-between colours", "", LOWER, 0, 1, 3, "share of edge pixels that blend their two sides"),
    Metric("halo", "halo", "OKLab", LOWER, 0, 1, 4, "colour spilled over the silhouette into the background"),
    Metric(
        "num_colours", "colours", "", LOWER, 1, 256, 1, "visibly different colours after snapping, 256 for any more"
    ),
    Metric("palette_distance", "palette distance", "OKLab", LOWER, 0, 1, 4, "from each colour to the training set's"),
    Metric("palette_coverage", "palette coverage", "", HIGHER, 0, 1, 3, "share of the training set's colours present"),
    Metric("seam", "seam", "OKLab", LOWER, 0, 1, 4, "for tiles: jump at the wrap-around beyond any inside"),
    Metric(
        "copy_distance", "nearest training sprite", "", NEITHER, 0, 1, 3, "0: a copy; flips and shifts do not count"
    ),
    Metric("clip", "prompt adherence", "", HIGHER, -100, 100, 1, "100 times the cosine of prompt and image in CLIP"),
)

COLOUR_DISTANCE = Metric(
    "colour_distance",
    "colour distance",
    "OKLab",
    LOWER,
    0,
    1,
    4,
    "of all images' colours to the training set's",
)
"""The one metric of a set of images: single images have none, for one sprite does not hold the colours of all."""
