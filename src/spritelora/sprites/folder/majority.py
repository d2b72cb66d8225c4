"""The many decide: sprites so much larger than most of a set that they would shrink all others are set aside."""

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from spritelora.errors import ConfigError
from spritelora.sprites.captions.name_parts import parts_of_names
from spritelora.sprites.names import printable, some_of
from spritelora.sprites.pixels.image import LATENT_PX
from spritelora.sprites.pixels.placement import Pair, largest_factor, whole_cells

log = logging.getLogger(__name__)

MOST_ASIDE = 0.1
"""The share of a set's subjects that may be set aside; more of them are a size of their own."""

MOST_NAMED = 5
GAIN_BELOW_CELL, GAIN = 2, 4
"""How many times larger the others must get: below a latent cell to a sprite pixel every pixel counts."""


@dataclass(frozen=True)
class SizedSprite:
    """A sprite by its name, what it shows (all frames of a subject have one), and its size, x before y."""

    name: str
    subject: str
    size: Pair


@dataclass(frozen=True)
class Majority:
    """The sprites to set aside by name, and the factor that all would share with them and without; 0 for no sprite."""

    aside: tuple[str, ...] = ()
    factor_of_all: int = 0
    factor: int = 0

    @property
    def reason(self) -> str:
        """Why they are set aside, in words."""
        return f"larger than most: with them all others are enlarged by {self.factor_of_all}, without by {self.factor}"


def find_majority(sprites: Sequence[SizedSprite], shapes: Sequence[Pair], kept: Set[str] = frozenset()) -> Majority:
    """Tell the few largest subjects of a set from the many, where the others gain much without them.

    `kept`: names that are never set aside. Sprites that fit no shape at all are neither. Each time the fewest are set
    aside that let the others grow.
    """
    factors = {s.name: whole_cells(n) for s in sprites if (n := largest_factor(s.size, shapes))}
    bound = min((factors[s.name] for s in sprites if s.name in kept and s.name in factors), default=None)
    least: dict[str, int] = {}
    for sprite in sprites:
        if sprite.name in factors:
            least[sprite.subject] = min(least.get(sprite.subject, factors[sprite.name]), factors[sprite.name])
    if not least:
        return Majority()
    ordered = sorted(least.values())
    room = int(MOST_ASIDE * len(ordered))
    first = factor = ordered[0]
    for place, candidate in enumerate(ordered[: room + 1]):
        gain = GAIN_BELOW_CELL if factor < LATENT_PX else GAIN
        if candidate >= gain * factor and ordered[place - 1] < candidate and (bound is None or candidate <= bound):
            factor = candidate
    return Majority(tuple(name for name, own in factors.items() if own < factor), first, factor)


def names_aside(
    folder: Path,
    sizes: Mapping[str, Pair],
    shapes: Sequence[Pair],
    include: Sequence[str],
    is_checked: bool,
    recorded: int | None = None,
) -> set[str]:
    """The images of a folder that are set aside, with a warning that names them.

    `sizes`: native ones, by name. `shapes`: of the canvases. `include`: names and patterns of images that are taken
    whatever their size. `is_checked`: raise ConfigError for an entry of it that means none. `recorded`: the factor that
    a run was trained with; where it is that of all, the run had all.
    """
    kept = match_names(include, sizes, "data.include" if is_checked else "")
    sprites = sized_sprites([(name, name, size) for name, size in sizes.items()])
    majority = find_majority(sprites, shapes, set(kept))
    if recorded == majority.factor_of_all:
        return set()
    if majority.aside:
        remedy = f"'data.include=[{majority.aside[0]}]' takes it, 'data.include=[*]' all"
        log.warning("%s: %s", printable(folder.name), aside_text(majority, remedy))
    return set(majority.aside)


def sized_sprites(sprites: Sequence[tuple[str, str, Pair]]) -> list[SizedSprite]:
    """Sprites with their subjects, as their names tell them. `sprites`: name, path of the file, size of each."""
    parts = parts_of_names([file for _, file, _ in sprites])
    return [
        SizedSprite(name, f"{part.owner} {part.variant}" if part.owner else file, size)
        for (name, file, size), part in zip(sprites, parts, strict=True)
    ]


def aside_text(majority: Majority, remedy: str) -> str:
    """What is said of the sprites that are set aside. `remedy`: what to type to have them."""
    return f"set aside: {some_of(majority.aside, MOST_NAMED)}: {majority.reason}; {remedy}"


def match_names(patterns: Sequence[str], names: Iterable[str], key: str) -> list[str]:
    """The names that patterns mean: paths below the folder, or file names alone.

    Raises ConfigError that names `key` for a pattern that means none, unless `key` is empty; `*` may mean none.
    """
    known = list(names)
    found = {p: [n for n in known if fnmatchcase(n, p) or fnmatchcase(n.rsplit("/", 1)[-1], p)] for p in patterns}
    if missing := [pattern for pattern, meant in found.items() if key and not meant and pattern != "*"]:
        listed = ", ".join(printable(pattern) for pattern in missing)
        raise ConfigError(f"{key}: no image is called {listed}; name files, or patterns such as 'Big*'")
    meant = {name for names in found.values() for name in names}
    return [name for name in known if name in meant]
