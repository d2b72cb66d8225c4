"""Made sheets with the sprites that are in them: on grids of all kinds, and on none."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.pieces import Box

CLEAR = (0, 0, 0, 0)
MAGENTA = (255, 0, 255, 255)
COLOURS = [(250, 230, 90), (200, 60, 60), (60, 120, 200), (70, 160, 80), (150, 90, 60), (230, 230, 240), (90, 60, 130)]


@dataclass(frozen=True)
class MadeSheet:
    """A sheet, its background (fully transparent, or a colour), and the place of each sprite or filled cell."""

    kind: str
    pixels: Pixels
    background: tuple[int, ...]
    boxes: list[Box]

    @property
    def sprites(self) -> Counter[bytes]:
        """What is in each box."""
        return contents([self.pixels[b.top : b.bottom, b.left : b.right] for b in self.boxes], self.background)


def contents(cells: list[Pixels], background: tuple[int, ...]) -> Counter[bytes]:
    """The cells without what is background around them, by their pixels; empty ones are left out."""
    found: Counter[bytes] = Counter()
    for cell in cells:
        shown = cell * (cell[..., 3:] > 0)
        ground = (shown == np.array(background, np.uint8)).all(axis=-1)
        if not ground.all():
            ys, xs = np.nonzero(~ground)
            part = shown[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            found[repr(part.shape).encode() + part.tobytes()] += 1
    return found


def made_sheet(seed: int) -> MadeSheet:
    """A sheet of a seed: nine in ten lie on a grid."""
    rng = np.random.default_rng(seed)
    return _without_grid(rng) if seed % 10 == 9 else _on_grid(rng)


def draw_figure(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A figure of one piece with an outline, symmetric, that fills the given size; transparent around."""
    half = -(-width // 2)
    xs = np.mgrid[0:height, 0:half][1]
    middle = (height - 1) / 2
    reach = half * (0.55 + 0.45 * np.sin(np.linspace(0.4, 2.8, height) * rng.uniform(0.8, 1.3)) ** 2)
    mask = (half - xs) <= np.maximum(reach[:, None], 1.5)
    mask[int(middle), :] = True
    body = np.concatenate([mask, mask[:, ::-1][:, half * 2 - width :]], axis=1)
    inner = body.copy()
    inner[0], inner[-1], inner[:, 0], inner[:, -1] = False, False, False, False
    inner[1:-1, 1:-1] &= body[:-2, 1:-1] & body[2:, 1:-1] & body[1:-1, :-2] & body[1:-1, 2:]
    figure = np.zeros((height, width, 4), np.uint8)
    first, second, third = (COLOURS[i] for i in rng.permutation(len(COLOURS))[:3])
    figure[body] = (40, 26, 32, 255)
    figure[inner] = (*first, 255)
    cut = rng.integers(2, max(3, height - 2))
    figure[cut:][inner[cut:]] = (*second, 255)
    eye = int(rng.integers(1, max(2, height // 2)))
    figure[eye : eye + 2][inner[eye : eye + 2]] = (*third, 255)
    return figure


def draw_tile(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """An opaque tile: flat, with patches or speckles, in colours of its own."""
    base = np.array(COLOURS[rng.integers(len(COLOURS))]) + rng.integers(-30, 5, 3)
    tile = np.empty((height, width, 4), np.uint8)
    tile[:] = (*np.clip(base, 0, 250), 255)
    for _ in range(int(rng.integers(1, 5))):
        y, x = rng.integers(0, height - 2), rng.integers(0, width - 2)
        h, w = rng.integers(2, height // 2 + 1), rng.integers(2, width // 2 + 1)
        tile[y : y + h, x : x + w, :3] = np.clip(base + rng.integers(-60, 20, 3), 0, 250)
    tile[rng.random((height, width)) < 0.04, :3] = np.clip(base - 40, 0, 250)
    return tile


def _on_grid(rng: np.random.Generator) -> MadeSheet:
    width = int(rng.integers(8, 65)) if rng.random() < 0.4 else int(rng.choice([8, 16, 24, 32, 48, 64]))
    height = width if rng.random() < 0.7 else int(np.clip(width + rng.integers(-8, 17), 8, 64))
    margin, spacing = (int(rng.integers(0, 4)) if rng.random() < 0.5 else 0 for _ in range(2))
    most = max(2, 520 // max(width, height))
    columns, rows = int(rng.integers(2, min(13, most) + 1)), int(rng.integers(1, min(13, most) + 1))
    is_tiled, is_lined = bool(rng.random() < 0.4), bool(spacing and rng.random() < 0.5)
    background = MAGENTA if rng.random() < 0.2 else CLEAR
    ground = (20, 20, 20, 255) if is_lined else background
    sheet = np.empty((2 * margin + rows * (height + spacing) - spacing,
                      2 * margin + columns * (width + spacing) - spacing, 4), np.uint8)  # fmt: skip
    sheet[:] = ground
    pad = 0 if rng.random() < 0.5 else int(rng.integers(1, max(2, min(width, height) // 4)))
    boxes: list[Box] = []
    for row in range(rows):
        for column in range(columns):
            x, y = margin + column * (width + spacing), margin + row * (height + spacing)
            cell = sheet[y : y + height, x : x + width]
            cell[:] = background
            if rng.random() < 0.06 and len(boxes) > 1:
                continue
            if is_tiled:
                cell[:] = draw_tile(rng, width, height)
            else:
                _place(rng, cell, pad)
            boxes.append(Box(x, y, x + width, y + height))
    kind = f"{'tiles' if is_tiled else 'figures'} {width}x{height} margin {margin} spacing {spacing} {columns}x{rows}"
    return MadeSheet(f"{kind}{' lines' if is_lined else ''} pad {pad}", sheet, background, boxes)


def _place(rng: np.random.Generator, cell: Pixels, pad: int) -> None:
    """Draw a figure into a cell: up to its edges, or with room around it that differs a little."""
    height, width = cell.shape[0] - 2 * pad, cell.shape[1] - 2 * pad
    w, h = (max(5, n - int(rng.integers(0, max(1, n // 3)))) for n in (width, height))
    x, y = pad + int(rng.integers(0, width - w + 1)), pad + (height - h)
    figure = draw_figure(rng, w, h)
    part = cell[y : y + h, x : x + w]
    part[figure[..., 3] > 0] = figure[figure[..., 3] > 0]


def _without_grid(rng: np.random.Generator) -> MadeSheet:
    """Sprites anywhere, shelves of several sizes, one large picture, noise, or a wall of bricks."""
    kind = str(rng.choice(["anywhere", "shelves", "picture", "noise", "bricks", "one figure"]))
    side = int(rng.integers(64, 257))
    sheet = np.zeros((side, side, 4), np.uint8)
    if kind == "noise":
        sheet[:] = np.dstack([rng.integers(0, 255, (side, side, 3)), np.full((side, side), 255)])
        return MadeSheet(kind, sheet, CLEAR, [Box(0, 0, side, side)])
    if kind == "picture":
        sheet[:] = draw_tile(rng, side, side)
        for _ in range(30):
            figure = draw_figure(rng, *(int(n) for n in rng.integers(6, side // 2, 2)))
            x, y = rng.integers(0, side - figure.shape[1]), rng.integers(0, side - figure.shape[0])
            part = sheet[y : y + figure.shape[0], x : x + figure.shape[1]]
            part[figure[..., 3] > 0] = figure[figure[..., 3] > 0]
        return MadeSheet(kind, sheet, CLEAR, [Box(0, 0, side, side)])
    if kind == "bricks":
        sheet[:] = (150, 70, 50, 255)
        sheet[::8] = (90, 40, 30, 255)
        for row in range(0, side, 8):
            sheet[row : row + 8, (row // 8 % 2) * 8 :: 16] = (90, 40, 30, 255)
        return MadeSheet(kind, sheet, CLEAR, [Box(0, 0, side, side)])
    if kind == "one figure":
        sheet[:] = draw_figure(rng, side, side)
        return MadeSheet(kind, sheet, CLEAR, [Box(0, 0, side, side)])
    boxes: list[Box] = []
    x, y, shelf = 1, 1, 0
    while True:
        w, h = (int(n) for n in rng.integers(8, 40, 2))
        gap_x, gap_y = (int(n) for n in (rng.integers(1, 9, 2) if kind == "anywhere" else (1, 1)))
        if x + w >= side:
            x, y, shelf = 1, y + shelf + gap_y, 0
        if y + h >= side:
            break
        sheet[y : y + h, x : x + w] = draw_figure(rng, w, h)
        boxes.append(Box(x, y, x + w, y + h))
        x, shelf = x + w + gap_x, max(shelf, h)
    return MadeSheet(kind, sheet, CLEAR, boxes)
