"""Which prepared images a surveyed set becomes: factor, place, name, matte; decided for the whole set at once."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.prepared_names import prepared_stems
from spritelora.sprites.names import printable, some_of
from spritelora.sprites.pixels.image import hex_colour
from spritelora.sprites.pixels.matte import choose_matte, is_parted, near_shares
from spritelora.sprites.pixels.placement import (
    Fit,
    Pair,
    canvas_shapes,
    fit_sprite,
    largest_factor,
    stretch_sprite,
    tile_corners,
    tiling_factor,
    uniform_factor,
    whole_cells,
)
from spritelora.sprites.prepare.survey import SurveyedFile, SurveyedSprite, label

Pair3 = tuple[int, int, int]

MOST_NAMED = 5
FAR_LARGER = 4
"""Most sprites could have so many times the set's factor before the largest ones are named."""


@dataclass(frozen=True)
class FitOptions:
    """The settings for fitting sprites. `factor`: None for the largest one, of the whole set or of `each` sprite."""

    side_px: int
    factor: int | None = None
    each: bool = False
    pad: bool = True
    buckets: bool = False
    tile: bool = False


@dataclass(frozen=True)
class Piece:
    """One prepared image: a sprite of a file, whole or a tile of it.

    `number`: of the sprite within its file. `corner`, `size`: the part of the native sprite. `stem`: path below the
    output without suffix.
    """

    number: int
    tag: str
    corner: Pair
    size: Pair
    fit: Fit
    stem: str = ""


@dataclass(frozen=True)
class PlannedFile:
    """A source file and the images to make of it."""

    surveyed: SurveyedFile
    pieces: tuple[Piece, ...]


def plan_set(files: Sequence[SurveyedFile], options: FitOptions) -> tuple[list[PlannedFile], list[Finding]]:
    """Fit all sprites of a set. Sprites that do not fit are findings and have no piece."""
    shapes = canvas_shapes(options.side_px, options.buckets)
    factor, findings = _set_factor(files, options, shapes)
    planned: list[list[Piece]] = []
    for file in files:
        planned.append([])
        for number, sprite in enumerate(file.sprites):
            try:
                planned[-1] += _pieces(number, sprite, factor, options, shapes)
            except ValueError as error:
                text = f"{error}; sprites are never shrunk by fractions: {_remedy(sprite, shapes)}"
                name = label(file.source.name, sprite.tag)
                findings.append(Finding("too_large", Severity.error, name, text))
    stems = iter(prepared_stems((f.source.name, p.tag) for f, ps in zip(files, planned, strict=True) for p in ps))
    named = [tuple(Piece(p.number, p.tag, p.corner, p.size, p.fit, next(stems)) for p in ps) for ps in planned]
    return [PlannedFile(file, pieces) for file, pieces in zip(files, named, strict=True)], findings


def plan_matte(files: Sequence[SurveyedFile], asked: Pair3 | None) -> tuple[tuple[int, int, int], list[Finding]]:
    """The colour under transparency for the whole set: the one asked for, or a chosen one.

    A set that prepare wrote with one matte keeps it.
    """
    sprites = {label(f.source.name, s.tag): s for f in files for s in f.sprites}
    colours = [s.colours for s in sprites.values()]
    if asked is not None:
        shares = near_shares(asked, colours)
        touching = [name for name, share in zip(sprites, shares.tolist(), strict=True) if share > 0]
        text = (
            f"the background colour {hex_colour(asked)} is near colours at the edge of "
            f"{some_of(touching, MOST_NAMED)}, where it looks like transparency; matte=auto chooses another one"
        )
        return asked, [] if is_parted(shares) else [Finding("matte_in_palette", Severity.warning, "", text)]
    earlier = {s.prepared.matte if s.prepared else None for s in sprites.values()}
    if len(earlier) == 1 and (matte := earlier.pop()) is not None:
        return matte, []
    return choose_matte(colours), []


def _set_factor(
    files: Sequence[SurveyedFile], options: FitOptions, shapes: Sequence[Pair]
) -> tuple[int | None, list[Finding]]:
    """The factor all sprites share, None where each has its own."""
    if options.factor is not None or options.each or not options.pad:
        return options.factor, []
    largest = {label(f.source.name, s.tag): largest_factor(s.native_size, shapes) for f in files for s in f.sprites}
    sizes = [s.native_size for f in files for s in f.sprites]
    if options.tile:
        return tiling_factor(sizes, shapes), []
    fitting = [size for size in sizes if largest_factor(size, shapes)]
    if not fitting:
        return 1, []
    factor = uniform_factor(fitting, shapes)
    possible = [n for n in largest.values() if n]
    if statistics.median(possible) < FAR_LARGER * factor:
        return factor, []
    owners = {label(f.source.name, s.tag): f.source.name for f in files for s in f.sprites}
    large = [name for name, n in largest.items() if 0 < n < 2 * factor]
    without = whole_cells(min(n for n in possible if n >= 2 * factor))
    files_of_large = list(dict.fromkeys(printable(owners[name]) for name in large))
    excluded = ",".join([*files_of_large[:MOST_NAMED], *(["..."] if len(files_of_large) > MOST_NAMED else [])])
    text = (
        f"{some_of(large, MOST_NAMED)}: so large that all sprites are enlarged {factor} times instead of {without}; "
        f"'exclude=[{excluded}]' leaves the large ones out, factor=each makes each sprite as large as it can be"
    )
    return factor, [Finding("far_larger", Severity.warning, "", text)]


def _pieces(
    number: int, sprite: SurveyedSprite, factor: int | None, options: FitOptions, shapes: Sequence[Pair]
) -> list[Piece]:
    size = sprite.native_size
    if not options.pad:
        return [Piece(number, sprite.tag, (0, 0), size, stretch_sprite(size, shapes))]
    largest = largest_factor(size, shapes)
    own = whole_cells(largest) if factor is None else factor
    if options.tile and largest < max(own, 1):
        return _tiles(number, sprite, own or tiling_factor([], shapes), options.side_px)
    return [Piece(number, sprite.tag, (0, 0), size, fit_sprite(size, own if largest else 1, shapes))]


def _tiles(number: int, sprite: SurveyedSprite, factor: int, side_px: int) -> list[Piece]:
    side = side_px // factor
    fit = Fit((factor, factor), (0, 0), (side_px, side_px))
    width, height = sprite.native_size
    return [
        Piece(
            number,
            "_".join(filter(None, (sprite.tag, f"r{y // side}c{x // side}"))),
            (x, y),
            (min(side, width - x), min(side, height - y)),
            fit,
        )
        for x, y in tile_corners(sprite.native_size, (side, side))
    ]


def _remedy(sprite: SurveyedSprite, shapes: Sequence[Pair]) -> str:
    largest = largest_factor(sprite.native_size, shapes)
    if largest:
        return f"its largest factor is {largest}"
    return "raise resolution, cut it up (sheet=..., tile=true), or bring it to its native size"
