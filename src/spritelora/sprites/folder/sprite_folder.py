"""A folder of sprites with side-car captions, checked whole before anything is made of it."""

import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.errors import DatasetError
from spritelora.sprites.backgrounds.candidate import Candidate, find_candidate
from spritelora.sprites.backgrounds.ground import Ground
from spritelora.sprites.backgrounds.originals import AS_THEY_ARE, Originals
from spritelora.sprites.backgrounds.treatment import Treatment
from spritelora.sprites.checks.fingerprint import recolour_hash
from spritelora.sprites.folder.caption_problems import caption_problems
from spritelora.sprites.folder.majority import names_aside
from spritelora.sprites.folder.manifest import one_or_pair
from spritelora.sprites.folder.prepared import NativeSprite, Prepared, Sizing, check_bytes, restore
from spritelora.sprites.folder.prepared_canvases import canvas_problems, own_canvas_remedy, usable_shapes
from spritelora.sprites.folder.sources import (
    IMAGE_SUFFIXES,
    MAX_LISTED,
    Source,
    as_line,
    refuse,
    refuse_empty,
    survey_folder,
)
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels, read_sprite, shrink_to_fit, without_hidden_colour
from spritelora.sprites.pixels.matte import SpriteColours, choose_matte, is_parted, near_shares, sprite_colours
from spritelora.sprites.pixels.placement import (
    Canvases,
    Fit,
    Pair,
    draw_on_canvas,
    fit_sprite,
    largest_factor,
    pair_text,
    square_canvas,
    stretch_sprite,
    whole_cells,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionedSprite:
    """An image file, its caption and what was learned when the file was checked.

    `name`: path below the data set's folder. `sha256`: of the file's bytes. `native_size`: x before y. `fit`: where
    training shows it. `scale`: pixels of the file to one that is enlarged. `repeats`: how often a pass over the set
    shows it. `group`: what belongs together in a split. `weight`: factor of its loss. `prepared`: what the manifest
    says of it, None for an original. `native_sha256`: of a prepared image's native sprite, empty for an original, whose
    `sha256` says as much. `shapes`: see `recolour_hash`. `subject`: the same for sprites that training shows as one, as
    `find_subjects` tells them; empty for one by itself. `treatment`: what is made clear of an original.
    """

    file: Path
    name: str
    caption: str
    sha256: str
    colours: SpriteColours
    native_size: Pair
    fit: Fit
    scale: int = 1
    repeats: int = 1
    group: str = ""
    weight: float = 1.0
    prepared: Prepared | None = None
    native_sha256: str = ""
    shapes: bytes | None = None
    subject: str = ""
    treatment: Treatment = Treatment()  # noqa: RUF009 (frozen)

    @property
    def factor(self) -> int | Pair:
        """Image pixels to a sprite pixel, a pair where the axes differ."""
        return one_or_pair(self.fit.factors)

    @property
    def stretched(self) -> Pair | None:
        """The factors of both axes where they differ."""
        return self.factor if isinstance(self.factor, tuple) else None

    def is_stored_on(self, matte: tuple[int, int, int]) -> bool:
        """Whether on this matte training shows the file as it lies in the folder."""
        return self.prepared is not None and (self.fit, matte) == (self.prepared.record.fit, self.prepared.matte)

    def is_placed_anew(self, canvases: Canvases) -> bool:
        """Whether it has no prepared canvas that is one of these, so that its size counts among the others'."""
        return self.prepared is None or not canvases.holds(self.prepared.record.canvas)


def read_folder(
    folder: Path,
    side_px: int,
    key: str = "data.path",
    factor: int | None = None,
    originals: Originals = AS_THEY_ARE,
    canvases: Canvases | None = None,
) -> list[CaptionedSprite]:
    """All sprites below `folder` with their captions, sorted by name, each decoded once and found to fit.

    What prepare wrote is read as its manifest says. `key`: that named the folder. `factor`: see `place_sprites`.
    `originals`: what is done to the others, and which of them are never set aside. `canvases`: those that a sprite may
    lie on, the square alone where none are given.
    Raises DatasetError that names every bad file and the remedy.
    """
    if not folder.is_dir():
        raise DatasetError(f"{printable(folder)}: no such folder; {key} names a folder of images with .txt captions")
    found = survey_folder(folder)
    kinds = " ".join(sorted(s[1:] for s in IMAGE_SUFFIXES))
    refuse_empty(folder, found, f" ({kinds}); {key} names the folder that holds them")
    canvases = canvases or square_canvas(side_px)
    unfit = canvas_problems(folder, found.prepared.values(), canvases)
    refuse(folder, [*(as_line(p) for p in found.errors), *caption_problems(folder, found.sources), *unfit])
    shapes = usable_shapes(canvases, found.prepared.values())
    sprites: list[CaptionedSprite] = []
    candidates: list[Candidate] = []
    problems: list[str] = []
    for source in found.sources:
        try:
            if prepared := found.prepared.get(source.name):
                sprites.append(_read_prepared(source, prepared, shapes))
            else:
                sprite, candidate = _read_original(source, shapes, originals)
                sprites.append(sprite)
                candidates.append(candidate)
        except DatasetError as error:
            problems.append(str(error))
    refuse(folder, problems)
    grounds = originals.settle(candidates)
    sprites = [_treated(s, g) if s.prepared is None and (g := grounds.grounds.get(s.name)) else s for s in sprites]
    _warn(folder, [as_line(p) for p in [*found.problems, *grounds.findings]])
    sizes = {s.name: s.native_size for s in sprites if s.is_placed_anew(canvases)}
    aside = names_aside(folder, sizes, shapes, originals.include, key == "data.path", factor)
    return place_sprites([s for s in sprites if s.name not in aside], canvases, factor)


def place_sprites(
    sprites: Sequence[CaptionedSprite], canvases: Canvases, recorded: int | None = None
) -> list[CaptionedSprite]:
    """The sprites of one or more sets, each on the canvas most like its own shape, all by one factor.

    That is `recorded`, with which a run was trained, where all can have it; else the largest which all can have.
    Sprites that were prepared for this size keep theirs and their place, where the others can have it too. Those that
    were prepared by factors of their own keep them, or get them anew.
    """
    shapes = usable_shapes(canvases, [s.prepared for s in sprites if s.prepared])
    factor = min((f for s in sprites if (f := _shared_factor(s, shapes)) is not None), default=1)
    if recorded is not None and all(recorded <= largest_factor(s.native_size, shapes) for s in sprites):
        factor = recorded
    return [dataclasses.replace(sprite, fit=_fit(sprite, factor, shapes)) for sprite in sprites]


def set_matte(sprites: Sequence[CaptionedSprite]) -> tuple[int, int, int]:
    """One matte for the whole set: that of what is prepared where the others part from it, else a chosen one."""
    mattes = {s.prepared.matte for s in sprites if s.prepared}
    if len(mattes) == 1:
        matte = mattes.pop()
        if is_parted(near_shares(matte, [s.colours for s in sprites if s.prepared is None])):
            return matte
    return choose_matte([s.colours for s in sprites])


def factors_text(sprites: Sequence[CaptionedSprite]) -> str:
    """By what sprites are enlarged, in words: `8`, `8 to 32`, or `8x16` where the axes differ."""
    factors = sorted({s.fit.factors for s in sprites})
    first, last = ("x".join(map(str, f)) if f[0] != f[1] else str(f[0]) for f in (factors[0], factors[-1]))
    return first if len(factors) == 1 else f"{first} to {last}"


def native_sprite(sprite: CaptionedSprite) -> NativeSprite:
    """The sprite at its native size, read from its file."""
    if sprite.prepared is not None:
        return restore(sprite.file, sprite.prepared)
    pixels = without_hidden_colour(read_sprite(sprite.file))[:: sprite.scale, :: sprite.scale]
    pixels = sprite.treatment.apply(pixels)
    return NativeSprite(pixels, pixels[..., 3])


def _treated(sprite: CaptionedSprite, ground: Ground) -> CaptionedSprite:
    """An original without its ground."""
    cut = dataclasses.replace(sprite, treatment=dataclasses.replace(sprite.treatment, ground=ground))
    native = native_sprite(cut).pixels
    return dataclasses.replace(cut, colours=sprite_colours(native), shapes=recolour_hash(native))


def training_image(sprite: CaptionedSprite, matte: tuple[int, int, int]) -> Pixels:
    """The sprite as training sees it: on its matte, enlarged by whole factors, padded. RGB, (H, W, 3)."""
    return draw_on_canvas(native_sprite(sprite).on_matte(matte), sprite.fit, matte)


def data_hash(sprites: list[CaptionedSprite]) -> str:
    """A fingerprint of names, image bytes and captions."""
    digest = hashlib.sha256()
    for sprite in sprites:
        digest.update(f"{sprite.name}\0{sprite.sha256}\0{sprite.caption}\0".encode())
    return digest.hexdigest()


def views_hash(sprites: Iterable[CaptionedSprite]) -> str | None:
    """A fingerprint of the prepared sprites among them at native size, and of their places; None where none is."""
    shown = [repr((s.name, s.native_sha256, s.prepared.record.matte, s.fit)) for s in sprites if s.prepared]
    return hashlib.sha256("\0".join(shown).encode()).hexdigest() if shown else None


def _shared_factor(sprite: CaptionedSprite, shapes: Sequence[Pair]) -> int | None:
    """The factor that a sprite asks of its set, None where it has one of its own."""
    if sprite.prepared is None:
        return whole_cells(largest_factor(sprite.native_size, shapes))
    if sprite.prepared.sizing is not Sizing.one:
        return None
    record = sprite.prepared.record
    return record.fit.factors[0] if record.canvas in shapes else whole_cells(largest_factor(record.native_size, shapes))


def _fit(sprite: CaptionedSprite, factor: int, shapes: Sequence[Pair]) -> Fit:
    size, sizing = sprite.native_size, sprite.prepared.sizing if sprite.prepared else Sizing.one
    recorded = sprite.prepared.record.fit if sprite.prepared else None
    if recorded and recorded.canvas in shapes and (sizing is not Sizing.one or recorded.factors == (factor, factor)):
        return recorded
    if sizing is Sizing.stretched:
        return stretch_sprite(size, shapes)
    own = whole_cells(largest_factor(size, shapes)) if sizing is Sizing.each else factor
    return fit_sprite(size, own, shapes)


def _read_original(source: Source, shapes: Sequence[Pair], how: Originals) -> tuple[CaptionedSprite, Candidate]:
    """A sprite that is as someone drew it, with what it shows of its ground. Its place is what it would have alone."""
    treatment = Treatment(half_transparent=how.half_transparent)
    pixels = read_sprite(source.file)
    try:
        native = shrink_to_fit(without_hidden_colour(pixels), shapes)
    except ValueError as error:
        raise DatasetError(
            f"{printable(source.file)}: {error}; sprites are never shrunk by fractions: "
            f"raise model.resolution, cut the image up, or bring it to its native size"
            f"{own_canvas_remedy((pixels.shape[1], pixels.shape[0]), shapes)}"
        ) from error
    native = treatment.apply(native)
    candidate = find_candidate(source.name, native, sprite_colours(native), how.cutting)
    sprite = CaptionedSprite(
        file=source.file,
        name=source.name,
        caption=source.caption or "",
        sha256=hashlib.sha256(source.file.read_bytes()).hexdigest(),
        colours=candidate.colours,
        native_size=(native.shape[1], native.shape[0]),
        fit=fit_sprite((native.shape[1], native.shape[0]), 1, shapes),
        scale=len(pixels) // len(native),
        repeats=source.repeats,
        group=source.group,
        shapes=recolour_hash(native),
        treatment=treatment,
    )
    return sprite, candidate


def _read_prepared(source: Source, prepared: Prepared, shapes: Sequence[Pair]) -> CaptionedSprite:
    """A sprite as the manifest describes it, found to be so."""
    sha256 = hashlib.sha256(source.file.read_bytes()).hexdigest()
    check_bytes(source.file, prepared, sha256)
    native, record = restore(source.file, prepared), prepared.record
    if not largest_factor(record.native_size, shapes):
        raise DatasetError(
            f"{printable(source.file)}: {pair_text(record.native_size)} sprite pixels, prepared for {record.canvas[0]} "
            f"px, do not fit {pair_text(shapes[0])}, and sprites are never shrunk by fractions: "
            f"model.resolution={record.canvas[0]}"
        )
    content = repr(native.pixels.shape).encode() + native.pixels.tobytes() + native.alpha.tobytes()
    return CaptionedSprite(
        file=source.file,
        name=source.name,
        caption=source.caption or "",
        sha256=sha256,
        colours=sprite_colours(native.pixels),
        native_size=record.native_size,
        fit=record.fit,
        repeats=source.repeats,
        group=source.group,
        prepared=prepared,
        native_sha256=hashlib.sha256(content).hexdigest(),
        shapes=recolour_hash(native.pixels),
    )


def _warn(folder: Path, warnings: list[str]) -> None:
    for warning in warnings[:MAX_LISTED]:
        log.warning("%s: %s", printable(folder.name), warning)
    if len(warnings) > MAX_LISTED:
        log.warning("%s: %d warnings in all", printable(folder.name), len(warnings))
