"""Which images of a set are sheets and by which grid they are cut, decided for all of them at once."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from spritelora.sprites.captions.name_words import COLLECTIONS, SHEET_WORDS, split_words
from spritelora.sprites.grids.cell_grid import grid_boxes, num_large
from spritelora.sprites.grids.seam_grid import GROUP, MARGINS, SPACINGS, column_breaks
from spritelora.sprites.grids.sheet_layout import Pair, SheetLayout
from spritelora.sprites.pixels.edges import pack_colours
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.pieces import Mask
from spritelora.sprites.sheets.grid_texts import divides
from spritelora.sprites.sheets.sheet_verdict import SheetVerdict, is_on_grid, judge_sheets, without_background

FEWEST_TYPICAL = 3
"""So many images of one size make it the size of the set's single sprites."""

FEWEST_SINGLES = 8
MATCHING_SHARE = 0.5
"""From this share of cells on that lie in the folder as single files, a grid is the sheet's."""

FAR_LARGER = 16
"""An image of so many times the area of a single sprite is no single sprite where it shows many things."""

STRIP_HEIGHT, STRIP_BREAKS = 1.25, 0.5
MANY_PIECES = 6
LARGE_PX = 48
MOST_TRIED = 8
MOST_JUDGED = 64
"""Images of one size that are judged together; more of them tell nothing new."""


@dataclass(frozen=True)
class Doubt:
    """An image that seems to be a sheet, and up to two grids that it may have, the better one first."""

    name: str
    size: Pair
    guesses: tuple[SheetLayout, ...]


@dataclass(frozen=True)
class SheetPlan:
    """The grid of each sheet by its name, and the images that seem to be sheets and whose grid is in doubt.

    `typical`: the size that most single sprites have, None where no three have one.
    """

    layouts: dict[str, SheetLayout] = field(default_factory=dict[str, SheetLayout])
    doubts: list[Doubt] = field(default_factory=list[Doubt])
    typical: Pair | None = None


@dataclass(frozen=True)
class _Set:
    """The images of a set. `sizes`: by name. `typical`: the size that most single sprites have, None for none."""

    sizes: Mapping[str, Pair]
    read: Callable[[str], Pixels]
    typical: Pair | None = None
    singles: frozenset[bytes] = frozenset()


def plan_sheets(sizes: Mapping[str, Pair], told: Mapping[str, SheetLayout], read: Callable[[str], Pixels]) -> SheetPlan:
    """Tell sheets from sprites.

    `sizes`: of all images, by name. `told`: grids that a text beside an image tells. `read`: an image of a name, RGBA.
    """
    plan = SheetPlan({name: layout for name, layout in told.items() if name in sizes})
    groups: dict[Pair, list[str]] = defaultdict(list)
    for name, size in sizes.items():
        if name not in plan.layouts:
            groups[size].append(name)
    whole = _Set(sizes, read)
    rest: dict[Pair, list[str]] = {}
    for size, names in groups.items():
        rest[size] = _judge_group(names, whole, plan) if len(names) >= GROUP else names
    of_sheets = {size for size, names in rest.items() if len(names) >= FEWEST_TYPICAL and _are_likely(names, whole)}
    typical = _typical({size: names for size, names in rest.items() if size not in of_sheets})
    known = _Set(sizes, read, typical, _singles(rest[typical], read) if typical else frozenset())
    for size, names in sorted(rest.items()):
        if len(names) < GROUP or size in of_sheets:
            for name in names:
                _judge_one(name, known, plan)
    return SheetPlan(plan.layouts, sorted(plan.doubts, key=lambda doubt: doubt.name), typical)


def _are_likely(names: Sequence[str], images: _Set) -> bool:
    """Whether most images of one size seem to be sheets each by itself, though they have no grid in common."""
    judged = [judge_sheets([images.read(name)]) for name in names[:MOST_TRIED]]
    return 2 * sum(verdict.is_likely or verdict.sure is not None for verdict in judged) > len(judged)


def _judge_group(names: Sequence[str], images: _Set, plan: SheetPlan) -> list[str]:
    """Judge images of one size together. Returns those that are a sprite each."""
    judged = judge_sheets([images.read(name) for name in names[:MOST_JUDGED]])
    if judged.sure is None:
        return [*names]
    others: list[str] = []
    for name in names:
        if is_on_grid(images.read(name), judged.sure):
            plan.layouts[name] = judged.sure
        else:
            others.append(name)
    return others


def _judge_one(name: str, images: _Set, plan: SheetPlan) -> None:
    """Judge an image that has its size alone, or nearly so; one no larger than most sprites is one of them."""
    size, typical = images.sizes[name], images.typical
    if typical and size[0] <= typical[0] and size[1] <= typical[1]:
        return
    pixels = images.read(name)
    verdict = judge_sheets([pixels])
    layout = verdict.sure or _by_singles(pixels, images)
    if layout is not None:
        plan.layouts[name] = layout
    elif _is_suspect(name, pixels, verdict, typical):
        plan.doubts.append(Doubt(name, size, _guesses(verdict, pixels, typical)))


def _is_suspect(name: str, pixels: Pixels, verdict: SheetVerdict, typical: Pair | None) -> bool:
    """Whether an image is likely to hold many sprites though no grid is sure."""
    height, width = pixels.shape[:2]
    words = {word.rstrip("0123456789") for word in split_words(name.rsplit("/", 1)[-1])}
    if verdict.is_likely or not words.isdisjoint(COLLECTIONS | SHEET_WORDS) or _strips(pixels, typical):
        return True
    figures = without_background(pack_colours(pixels)) != 0
    if typical is None:
        return max(width, height) >= LARGE_PX and not figures.all() and _has_many_pieces(figures)
    is_large = width * height >= FAR_LARGER * typical[0] * typical[1]
    return is_large and (bool(figures.all()) or _has_many_pieces(figures))


def _has_many_pieces(figures: Mask) -> bool:
    """Whether an image shows several things apart from one another; one that is all specks does not."""
    try:
        return num_large(figures) >= MANY_PIECES
    except ValueError:
        return False


def _guesses(verdict: SheetVerdict, pixels: Pixels, typical: Pair | None) -> tuple[SheetLayout, ...]:
    """Two grids to ask about: cells of the size of most sprites come first where they divide the sheet."""
    size = pixels.shape[1], pixels.shape[0]
    usual = [SheetLayout(typical)] if typical and divides(SheetLayout(typical), size) else []
    usual += _strips(pixels, typical)
    guesses = dict.fromkeys([*verdict.guesses, *usual] if verdict.is_likely else [*usual, *verdict.guesses])
    return tuple(guesses)[:2] or (SheetLayout(None),)


def _strips(pixels: Pixels, typical: Pair | None) -> list[SheetLayout]:
    """The cells of a row of frames no higher than most sprites: square, or as wide as those are.

    Between most frames drawing breaks off from top to bottom.
    """
    height, width = pixels.shape[:2]
    if typical is None or height > STRIP_HEIGHT * typical[1]:
        return []
    packed = without_background(pack_colours(pixels))
    sides = [side for side in dict.fromkeys((height, typical[0])) if width % side == 0 and width >= 2 * side]
    return [SheetLayout((side, height)) for side in sides if column_breaks(packed)[side::side].mean() > STRIP_BREAKS]


def _typical(groups: Mapping[Pair, Sequence[str]]) -> Pair | None:
    counts = Counter({size: len(names) for size, names in groups.items()})
    most = max(counts.values(), default=0)
    return min((s for s, n in counts.items() if n == most), default=None) if most >= FEWEST_TYPICAL else None


def _singles(names: Sequence[str], read: Callable[[str], Pixels]) -> frozenset[bytes]:
    """The single sprites of the usual size, by their pixels."""
    return (
        frozenset(pack_colours(read(name)).tobytes() for name in names) if len(names) >= FEWEST_SINGLES else frozenset()
    )


def _by_singles(pixels: Pixels, images: _Set) -> SheetLayout | None:
    """The grid whose cells lie in the folder as single files, None where most do not."""
    if not images.singles or images.typical is None:
        return None
    packed = pack_colours(pixels)
    size = packed.shape[1], packed.shape[0]
    for margin, spacing in product(MARGINS, SPACINGS):
        layout = SheetLayout(images.typical, margin, spacing)
        if divides(layout, size):
            boxes = [cell.box for cell in grid_boxes(size, layout)]
            cells = [packed[b.top : b.bottom, b.left : b.right] for b in boxes]
            shown = [cell.tobytes() for cell in cells if (cell != cell[0, 0]).any()]
            if shown and sum(cell in images.singles for cell in shown) >= MATCHING_SHARE * len(shown):
                return layout
    return None
