"""One sprite: what it shows, drawn and captioned, from a random generator."""

from dataclasses import dataclass

import numpy as np

from spritelora.embedded.drawn.material_grid import Grid
from spritelora.embedded.drawn.ramps import COLOURS, Rgb, vary_colour
from spritelora.embedded.drawn.render import Cells, Pixels, Style, double, render
from spritelora.embedded.drawn.subjects import SIDED_SUBJECTS, SUBJECTS

HALF_EXTENT_PX: dict[str, tuple[float, float]] = {"small": (4.6, 5.4), "": (5.8, 6.4), "large": (6.8, 7.2)}
"""Half the sprite's extent by size word, lowest and highest; one cell beyond it is left for the outline."""

BACKGROUNDS: dict[str, Rgb] = {"white": (255, 255, 255), "gray": (188, 190, 196), "black": (16, 14, 22)}


@dataclass(frozen=True)
class SpriteSpec:
    """The content of a sprite, in the words of its caption; a facing is empty for a subject without sides."""

    subject: str
    colour: str
    style: Style
    background: str
    size: str
    facing: str


def held_out_pairs() -> list[tuple[str, str]]:
    """The (subject, colour) pairs that training never shows: every second drawn subject in one colour each."""
    colours = list(COLOURS)
    return [
        (subject, colours[(2 * number + 5) % len(colours)])
        for number, subject in enumerate(SUBJECTS)
        if number % 2 == 0
    ]


def sample_spec(rng: np.random.Generator, subject: str | None = None, colour: str | None = None) -> SpriteSpec:
    """A random spec, with the subject and the colour given where they are not None."""
    subject = subject or str(rng.choice(list(SUBJECTS)))
    colour = colour or str(rng.choice(list(COLOURS)))
    style = Style.SHADED if rng.random() < 0.5 else list(Style)[int(rng.integers(len(Style)))]
    background = str(rng.choice(list(BACKGROUNDS), p=[0.7, 0.15, 0.15]))
    if style is Style.LIGHT_ON_DARK:
        background = "black"
    if style is Style.LINE_ART:
        background = "white"
    size = str(rng.choice(list(HALF_EXTENT_PX), p=[0.15, 0.65, 0.2]))
    facing = ""
    if subject in SIDED_SUBJECTS:
        facing = "left" if rng.random() < 0.3 else "right"
    return SpriteSpec(subject, colour, style, background, size, facing)


def draw_cells(spec: SpriteSpec, rng: np.random.Generator) -> Cells:
    """Draw a spec's materials, (16, 16): shape, proportions and place vary with the generator."""
    low, high = HALF_EXTENT_PX[spec.size]
    half_px = rng.uniform(low, high)
    squeeze = rng.uniform(0.9, 1.0)
    wide, high_px = (half_px, half_px * squeeze) if rng.random() < 0.5 else (half_px * squeeze, half_px)
    grid = Grid(wide, high_px)
    SUBJECTS[spec.subject](grid, float(rng.random()))
    cells = grid.cells[:, ::-1] if spec.facing == "left" else grid.cells
    if spec.size == "large":
        return cells
    reach = 2 if spec.size == "small" else 1
    down, right = (int(shift) for shift in rng.integers(-reach, reach + 1, 2))
    return move_inside(cells, down, right)


def move_inside(cells: Cells, down: int, right: int) -> Cells:
    """Shift a sprite, as far as one free cell stays around it."""
    rows, columns = np.nonzero(cells)
    down = int(np.clip(down, 1 - rows.min(), cells.shape[0] - 2 - rows.max()))
    right = int(np.clip(right, 1 - columns.min(), cells.shape[1] - 2 - columns.max()))
    return np.roll(cells, (down, right), (0, 1))


def draw_sprite(spec: SpriteSpec, rng: np.random.Generator, is_doubled: bool = False) -> Pixels:
    """Draw a spec: (16, 16, 3) uint8, or at twice that size."""
    cells = draw_cells(spec, rng)
    if is_doubled:
        cells = double(cells)
    return render(cells, spec.style, vary_colour(COLOURS[spec.colour], rng), BACKGROUNDS[spec.background])
