"""The subjects: one function each, drawing its materials into a grid; `form` in [0, 1] varies the shape."""

from collections.abc import Callable
from math import cos, pi, sin

from spritelora.embedded.drawn.material_grid import Grid, Material

BODY, DETAIL, SHINE = Material.BODY, Material.DETAIL, Material.SHINE
WOOD, METAL, GOLD, LEAF, CREAM = Material.WOOD, Material.METAL, Material.GOLD, Material.LEAF, Material.CREAM


def draw_potion(grid: Grid, form: float) -> None:
    """A flask with a cork: round, or conical for a high form."""
    if form < 0.6:
        grid.fill(grid.disc(0, 0.32, 0.74 + 0.1 * form, 0.68), BODY)
    else:
        grid.fill(grid.polygon([(-0.25, -0.3), (0.25, -0.3), (0.85, 1.0), (-0.85, 1.0)]), BODY)
    grid.fill(grid.box(-0.25, -0.5, 0.25, 0.0), BODY)
    grid.fill(grid.box(-0.45, -0.62, 0.45, -0.4), METAL)
    grid.fill(grid.box(-0.25, -1.0, 0.25, -0.62), WOOD)
    grid.fill(grid.dot(-0.3, 0.2, 2), SHINE)


def draw_sword(grid: Grid, form: float) -> None:
    """A blade pointing to the upper right."""
    grid.fill(grid.stroke((-0.45, 0.45), (0.85, -0.85), 3.2 + 0.8 * form), BODY)
    grid.fill(grid.stroke((-0.45, 0.45), (-0.9, 0.9), 1.9), WOOD)
    grid.fill(grid.stroke((-0.85, 0.05), (-0.05, 0.85), 1.6), GOLD)


def draw_shield(grid: Grid, form: float) -> None:
    """A heater shield with a cross, or a stripe for a high form."""
    rim = [(-0.9, -0.95), (0.9, -0.95), (0.9, 0.1), (0.5, 0.65), (0.0, 1.0), (-0.5, 0.65), (-0.9, 0.1)]
    grid.fill(grid.polygon(rim), BODY)
    grid.fill(grid.box(-0.17, -0.7, 0.17, 0.65), GOLD if form < 0.5 else METAL)
    if form < 0.75:
        grid.fill(grid.box(-0.6, -0.45, 0.6, -0.1), GOLD if form < 0.5 else METAL)


def draw_key(grid: Grid, form: float) -> None:
    """A key standing on its tip, with the teeth to the right."""
    ring_y = -0.5
    grid.fill(grid.box(-0.17, -0.2, 0.17, 1.0), BODY)
    grid.fill(grid.disc(0, ring_y, 0.62, 0.52), BODY)
    grid.fill(grid.disc(0, ring_y, 0.28, 0.24), Material.EMPTY)
    grid.fill(grid.box(0.0, 0.7, 0.62, 1.0), BODY)
    grid.fill(grid.box(0.0, 0.25, 0.45 + 0.15 * form, 0.48), BODY)


def draw_gem(grid: Grid, form: float) -> None:
    """A cut stone with a table, a girdle and a point."""
    table = 0.45 + 0.2 * form
    grid.fill(grid.polygon([(-table, -0.8), (table, -0.8), (1.0, -0.2), (0.0, 0.98), (-1.0, -0.2)]), BODY)
    grid.fill(grid.box(-0.95, -0.25, 0.95, -0.1) & (grid.cells == BODY), DETAIL)
    grid.fill(grid.polygon([(-0.4, -0.75), (-0.05, -0.75), (-0.3, -0.25), (-0.7, -0.25)]), SHINE)


def draw_heart(grid: Grid, form: float) -> None:
    """A heart with a shine on its left lobe."""
    grid.fill(grid.disc(-0.47, -0.35, 0.53, 0.55), BODY)
    grid.fill(grid.disc(0.47, -0.35, 0.53, 0.55), BODY)
    grid.fill(grid.polygon([(-0.98, -0.2), (0.98, -0.2), (0.0, 0.98)]), BODY)
    grid.fill(grid.dot(-0.5, -0.45, 2 if form < 0.6 else 1), SHINE)


def draw_coin(grid: Grid, form: float) -> None:
    """A round coin with a rim and a bar."""
    grid.fill(grid.disc(0, 0, 0.95, 0.95), BODY)
    grid.fill(grid.disc(0, 0, 0.68, 0.68), DETAIL)
    grid.fill(grid.disc(0, 0, 0.55, 0.55), BODY)
    grid.fill(grid.box(-0.17, -0.36, 0.17, 0.36), SHINE if form < 0.5 else DETAIL)


def draw_mushroom(grid: Grid, form: float) -> None:
    """A spotted cap on a pale stem."""
    stem = 0.28 + 0.15 * form
    grid.fill(grid.box(-stem, 0.0, stem, 0.95), CREAM)
    grid.fill(grid.disc(0, 0.15, 0.98, 1.1) & (grid.y <= 0.2), BODY)
    grid.fill(grid.dot(-0.45, -0.2, 2), SHINE)
    grid.fill(grid.dot(0.35, -0.45, 2), SHINE)
    grid.fill(grid.dot(0.6, 0.05, 1), SHINE)


def draw_slime(grid: Grid, form: float) -> None:
    """A low dome with two eyes."""
    grid.fill(grid.disc(0, 0.75, 0.98, 1.15 + 0.2 * form) & (grid.y <= 0.85), BODY)
    grid.fill(grid.dot(-0.35, 0.25, 2), DETAIL)
    grid.fill(grid.dot(0.35, 0.25, 2), DETAIL)
    grid.fill(grid.dot(-0.45, -0.15, 1), SHINE)


def draw_skull(grid: Grid, form: float) -> None:
    """A skull with eye holes, a nose and teeth."""
    grid.fill(grid.disc(0, -0.25, 0.92, 0.72), BODY)
    grid.fill(grid.box(-0.55, 0.2, 0.55, 0.95), BODY)
    grid.fill(grid.disc(-0.4, -0.1, 0.28, 0.28), DETAIL)
    grid.fill(grid.disc(0.4, -0.1, 0.28, 0.28), DETAIL)
    grid.fill(grid.box(-0.15, 0.25, 0.15, 0.4), DETAIL)
    grid.fill(grid.box(-0.35, 0.65, -0.15, 1.0) | grid.box(0.15, 0.65, 0.35, 1.0), DETAIL)
    if form > 0.5:
        grid.fill(grid.dot(-0.4, -0.65, 1), SHINE)


def draw_chest(grid: Grid, form: float) -> None:
    """A closed chest with bands and a lock."""
    grid.fill(grid.disc(0, -0.05, 1.05, 0.8) & (grid.y <= 0.0), BODY)
    grid.fill(grid.box(-0.98, -0.15, 0.98, 0.8), BODY)
    grid.fill(grid.box(-0.98, -0.15, 0.98, 0.0), DETAIL)
    if form < 0.6:
        grid.fill((grid.box(-0.75, -1.0, -0.5, 0.8) | grid.box(0.5, -1.0, 0.75, 0.8)) & (grid.cells > 0), METAL)
    grid.fill(grid.dot(0, -0.05, 2) | grid.dot(0, 0.15, 2), GOLD)


def draw_tree(grid: Grid, form: float) -> None:
    """A round crown on a trunk, or a fir for a high form."""
    grid.fill(grid.box(-0.2, 0.3, 0.2, 1.0), WOOD)
    if form < 0.55:
        grid.fill(grid.disc(0, -0.45, 0.65, 0.55), BODY)
        grid.fill(grid.disc(-0.42, -0.05, 0.52, 0.45), BODY)
        grid.fill(grid.disc(0.42, -0.05, 0.52, 0.45), BODY)
        grid.fill(grid.dot(-0.2, -0.55, 2), SHINE)
    else:
        for top, bottom, half in ((-1.0, -0.3, 0.5), (-0.65, 0.15, 0.72), (-0.2, 0.6, 0.95)):
            grid.fill(grid.polygon([(0.0, top - 0.05), (half, bottom), (-half, bottom)]), BODY)


def draw_axe(grid: Grid, form: float) -> None:
    """An upright axe with its edge to the right."""
    grid.fill(grid.box(-0.4, -0.95, -0.1, 1.0), WOOD)
    reach = 0.8 + 0.15 * form
    grid.fill(grid.polygon([(-0.1, -0.65), (reach, -1.0), (reach, 0.35), (-0.1, -0.05)]), BODY)
    grid.fill(grid.box(-0.7, -0.6, -0.4, -0.1), BODY)
    grid.fill(grid.box(reach - 0.2, -1.0, reach, 0.35) & (grid.cells == BODY), SHINE)


def draw_fish(grid: Grid, form: float) -> None:
    """A fish swimming to the right."""
    grid.fill(grid.polygon([(-0.35, 0.0), (-0.98, -0.65), (-0.98, 0.65)]), BODY)
    grid.fill(grid.disc(0.2, 0.0, 0.78, 0.48 + 0.1 * form), BODY)
    grid.fill(grid.polygon([(-0.2, -0.3), (0.3, -0.8), (0.4, -0.3)]), BODY)
    grid.fill(grid.dot(0.55, -0.12, 2 if form < 0.5 else 1), DETAIL)
    grid.fill(grid.box(0.0, 0.1, 0.15, 0.35), SHINE)


def draw_flower(grid: Grid, form: float) -> None:
    """Petals around a golden centre, on a stem with a leaf."""
    grid.fill(grid.box(-0.12, 0.2, 0.12, 1.0), LEAF)
    grid.fill(grid.disc(0.42, 0.7, 0.35, 0.18), LEAF)
    num_petals = 5 if form < 0.5 else 4
    turn = -pi / 2 if num_petals == 5 else -pi / 4
    for petal in range(num_petals):
        angle = turn + 2 * pi * petal / num_petals
        grid.fill(grid.disc(0.45 * cos(angle), -0.4 + 0.42 * sin(angle), 0.38, 0.34), BODY)
    grid.fill(grid.disc(0, -0.4, 0.25, 0.25), GOLD)


def draw_star(grid: Grid, form: float) -> None:
    """A five-pointed star."""
    inner = 0.42 + 0.12 * form
    radii = [1.08 if corner % 2 == 0 else inner for corner in range(10)]
    angles = [-pi / 2 + pi * corner / 5 for corner in range(10)]
    grid.fill(
        grid.polygon([(r * cos(angle), 0.1 + r * sin(angle)) for r, angle in zip(radii, angles, strict=True)]), BODY
    )
    grid.fill(grid.dot(-0.1, -0.15, 1), SHINE)


def draw_apple(grid: Grid, form: float) -> None:
    """An apple with a stem and a leaf to the right."""
    grid.fill(grid.disc(-0.35, 0.25, 0.6, 0.7), BODY)
    grid.fill(grid.disc(0.35, 0.25, 0.6, 0.7), BODY)
    grid.fill(grid.box(-0.15, -0.85, 0.1, -0.3), WOOD)
    grid.fill(grid.disc(0.42, -0.72, 0.36, 0.22), LEAF)
    grid.fill(grid.dot(-0.45, 0.05, 2 if form < 0.6 else 1), SHINE)


def draw_ghost(grid: Grid, form: float) -> None:
    """A tall dome with eyes and a ragged hem."""
    grid.fill(grid.disc(0, -0.25, 0.78, 0.75) & (grid.y <= -0.2), BODY)
    grid.fill(grid.box(-0.78, -0.25, 0.78, 0.75), BODY)
    for left in (-0.78, -0.16, 0.46):
        grid.fill(grid.box(left, 0.7, left + 0.32, 1.0), BODY)
    grid.fill(grid.dot(-0.32, -0.2, 2) | grid.dot(0.32, -0.2, 2), DETAIL)
    if form > 0.5:
        grid.fill(grid.dot(0, 0.3, 2), DETAIL)


def draw_crown(grid: Grid, form: float) -> None:
    """A crown of three spikes with stones."""
    tip = -0.85 + 0.2 * form
    spikes = [(-1.0, tip), (-0.5, 0.0), (0.0, -0.95), (0.5, 0.0), (1.0, tip), (0.9, 0.8), (-0.9, 0.8)]
    grid.fill(grid.polygon(spikes), BODY)
    grid.fill(grid.box(-0.9, 0.42, 0.9, 0.58) & (grid.cells == BODY), DETAIL)
    grid.fill(grid.dot(0, 0.2, 2), SHINE)
    grid.fill(grid.dot(-0.55, 0.25, 1) | grid.dot(0.55, 0.25, 1), SHINE)


def draw_book(grid: Grid, form: float) -> None:
    """A closed book, its pages to the right."""
    grid.fill(grid.box(-0.8, -0.95, 0.8, 0.95), BODY)
    grid.fill(grid.box(0.55, -0.75, 0.8, 0.75), CREAM)
    grid.fill(grid.box(-0.6, 0.65, 0.8, 0.85), CREAM)
    grid.fill(grid.box(-0.6, -0.95, -0.42, 0.65), DETAIL)
    if form < 0.5:
        grid.fill(grid.disc(0.08, -0.2, 0.28, 0.28), GOLD)
    else:
        grid.fill(grid.box(-0.25, -0.5, 0.35, -0.35) | grid.box(-0.25, -0.15, 0.35, 0.0), GOLD)


SUBJECTS: dict[str, Callable[[Grid, float], None]] = {
    "potion": draw_potion,
    "sword": draw_sword,
    "shield": draw_shield,
    "key": draw_key,
    "gem": draw_gem,
    "heart": draw_heart,
    "coin": draw_coin,
    "mushroom": draw_mushroom,
    "slime": draw_slime,
    "skull": draw_skull,
    "chest": draw_chest,
    "tree": draw_tree,
    "axe": draw_axe,
    "fish": draw_fish,
    "flower": draw_flower,
    "star": draw_star,
    "apple": draw_apple,
    "ghost": draw_ghost,
    "crown": draw_crown,
    "book": draw_book,
}

SIDED_SUBJECTS = frozenset({"sword", "key", "axe", "fish", "flower", "apple", "book"})
