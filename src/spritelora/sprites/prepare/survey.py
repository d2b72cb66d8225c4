"""Surveys the image files of a set before anything is written: sprites, scales, sizes, colours."""

import copy
import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.sprites.ase.pillow_file import SUFFIXES as ASE_SUFFIXES
from spritelora.sprites.backgrounds.candidate import Candidate, Cutting, find_candidate
from spritelora.sprites.backgrounds.set_grounds import SetGrounds, settle_grounds
from spritelora.sprites.backgrounds.treatment import HalfTransparent, Treatment
from spritelora.sprites.checks.pixel_lint import lint_image
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.prepared import NativeSprite, Prepared, check_bytes, restore
from spritelora.sprites.folder.sources import Source
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels, exact_scale, without_hidden_colour
from spritelora.sprites.pixels.matte import SpriteColours, sprite_colours
from spritelora.sprites.pixels.native import NativeScale, detect_scale, to_native
from spritelora.sprites.recent import Recent
from spritelora.sprites.sheets.ase_cuts import document_notes
from spritelora.sprites.sheets.sheet import cut_image

AS_IT_IS = NativeScale(1, (0, 0), 1.0, True)
AGREEING_SHARE = 0.75
KEPT_BYTES = 256 * 1024 * 1024
DECODED_BYTES = 64 * 1024 * 1024

Images = dict[str, tuple[tuple[str, ...], Pixels]]
"""The sprites of an image file as they lie there, by tag, with words for their captions."""

_decoded: Recent[Images] = Recent(DECODED_BYTES, lambda images: sum(pixels.nbytes for _, pixels in images.values()))
"""The sheets and animations decoded last: each is read for many sprites, in every process once."""


@dataclass(frozen=True)
class Reading:
    """The settings for reading image files: animations, the scale where the user gave it, and what is made clear."""

    all_frames: bool = False
    scale: int | None = None
    cutting: Cutting = Cutting()  # noqa: RUF009 (frozen)
    half_transparent: HalfTransparent = HalfTransparent.blend

    @property
    def is_plain(self) -> bool:
        """Whether an image that prepare wrote is read as its manifest says."""
        return not self.all_frames and self.scale is None


@dataclass(frozen=True)
class SurveyedSprite:
    """One sprite of a file. `image_size`, `native_size`: x before y.

    `cells_px`: the largest flat cells, from its corner on, that it could be made of. `prepared`: what is known of it
    where it was read from a folder that prepare wrote. `candidate`: what may be cut out; `treatment`: what is.
    """

    tag: str
    words: tuple[str, ...]
    image_size: tuple[int, int]
    native_size: tuple[int, int]
    scale: NativeScale
    colours: SpriteColours
    cells_px: int = 1
    prepared: Prepared | None = None
    candidate: Candidate | None = None
    treatment: Treatment = Treatment()  # noqa: RUF009 (frozen)


@dataclass(frozen=True)
class SurveyedFile:
    """A file's sprites, the hash of its bytes (empty where it cannot be read), and what is to be said about it."""

    source: Source
    sha256: str
    sprites: tuple[SurveyedSprite, ...]
    findings: tuple[Finding, ...]


def label(source: str, tag: str) -> str:
    """The name of a sprite in findings: its file, and for one of several its tag."""
    return f"{source}:{tag}" if tag else source


def survey_file(source: Source, reading: Reading, prepared: Prepared | None) -> SurveyedFile:
    """Decode a file whole and look at each sprite in it; what is wrong with it becomes findings.

    `prepared`: what the manifest says of the file, if the folder was written by prepare.
    """
    findings: list[Finding] = []
    try:
        sha256 = hashlib.sha256(source.file.read_bytes()).hexdigest()
        if prepared and source.layout is None and reading.is_plain:
            sprites = (_survey_prepared(source, prepared, sha256),)
        else:
            sprites = tuple(_survey_image(source, tag, words, image, reading, findings)
                            for tag, (words, image) in _images(source, reading).items())  # fmt: skip
            if source.file.suffix.lower() in ASE_SUFFIXES:
                findings += document_notes(source.file, source.name)
    except (DatasetError, OSError) as error:
        text = str(error).removeprefix(f"{printable(source.file)}: ")
        return SurveyedFile(source, "", (), (Finding("unreadable", Severity.error, source.name, text),))
    return SurveyedFile(source, sha256, sprites, tuple(findings))


def read_natives(source: Source, reading: Reading, sprites: Sequence[SurveyedSprite]) -> Iterator[NativeSprite]:
    """The native sprites of a file in the order of its survey; memory holds one file at a time."""
    is_prepared = all(sprite.prepared for sprite in sprites)
    images = {} if is_prepared else _images(source, reading)
    for sprite in sprites:
        yield (
            restore(source.file, sprite.prepared)
            if sprite.prepared
            else _native(images[sprite.tag][1], sprite.scale, sprite.treatment)
        )


def settle_scales(files: Sequence[SurveyedFile]) -> list[SurveyedFile]:
    """Let images of one size share one scale where nearly all of them do.

    A sprite drawn in blocks looks like the enlargement of a smaller one, and one of a single colour like none at all;
    beside others of its size it is seen for what it is: where three quarters are enlarged by m, so is an image whose
    flat cells are of m px or a multiple.
    """
    groups: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for sprite in (s for f in files for s in f.sprites if not s.prepared):
        groups[sprite.image_size][sprite.scale.factor] += 1
    common = {
        size: factor
        for size, counts in groups.items()
        for factor, count in counts.most_common(1)
        if count >= AGREEING_SHARE * counts.total()
    }
    return [dataclasses.replace(f, sprites=tuple(_settled(s, common) for s in f.sprites)) for f in files]


def settle_set(files: Sequence[SurveyedFile], reading: Reading) -> tuple[list[SurveyedFile], list[Finding]]:
    """The files with what only the whole set tells: a common scale, and the grounds that are cut out."""
    settled = settle_scales(files)
    candidates = [s.candidate for f in settled for s in f.sprites if s.candidate is not None]
    grounds = settle_grounds(candidates, reading.cutting)
    return [_without_grounds(f, grounds, reading) for f in settled], grounds.findings


def _without_grounds(file: SurveyedFile, grounds: SetGrounds, reading: Reading) -> SurveyedFile:
    """The file with the grounds of its sprites, and their colours without them."""

    def treated(sprite: SurveyedSprite) -> SurveyedSprite:
        ground = grounds.of(sprite.candidate)
        if ground is None:
            return sprite
        cut = dataclasses.replace(sprite, treatment=dataclasses.replace(sprite.treatment, ground=ground))
        colours = grounds.colours_of(sprite.candidate)
        return dataclasses.replace(
            cut, colours=colours or sprite_colours(next(read_natives(file.source, reading, [cut])).pixels)
        )

    return dataclasses.replace(file, sprites=tuple(treated(s) for s in file.sprites))


def _settled(sprite: SurveyedSprite, common: Mapping[tuple[int, int], int]) -> SurveyedSprite:
    factor = common.get(sprite.image_size, sprite.scale.factor)
    found = sprite.scale
    is_from_corner = found.factor == 1 or (found.exact and found.offset == (0, 0))
    if sprite.prepared or found.factor == factor or not is_from_corner or sprite.cells_px % factor:
        return sprite
    size = sprite.image_size[0] // factor, sprite.image_size[1] // factor
    return dataclasses.replace(sprite, scale=NativeScale(factor, (0, 0), 1.0, True), native_size=size)


def _images(source: Source, reading: Reading) -> Images:
    is_whole = source.index is None and source.layout is None and not reading.all_frames
    if is_whole and source.file.suffix.lower() not in ASE_SUFFIXES:
        return _cut(source, reading)
    versions = [(f, s.st_mtime_ns, s.st_size) for f in (source.file, source.index) if f and (s := f.stat())]
    return _decoded.get((reading, source.layout, *versions), lambda: _cut(source, reading))


def _cut(source: Source, reading: Reading) -> Images:
    cuts = cut_image(source.file, source.layout, reading.all_frames, source.index)
    return {cut.tag: (cut.words, without_hidden_colour(cut.pixels)) for cut in cuts}


def _survey_prepared(source: Source, prepared: Prepared, sha256: str) -> SurveyedSprite:
    check_bytes(source.file, prepared, sha256)
    colours, record = sprite_colours(restore(source.file, prepared).pixels), prepared.record
    return SurveyedSprite("", (), record.canvas, record.native_size, AS_IT_IS, colours, 1, prepared)


def _survey_image(
    source: Source,
    tag: str,
    words: tuple[str, ...],
    image: Pixels,
    reading: Reading,
    findings: list[Finding],
) -> SurveyedSprite:
    height, width = image.shape[:2]
    called = label(source.name, tag)
    scale = _scale(image, reading, called, findings)
    findings += check_image(called, image, scale)
    treatment = Treatment(half_transparent=reading.half_transparent)
    native = _native(image, scale, treatment).pixels
    if image[..., 3].any() and not native[..., 3].any():
        text = "every pixel is half-transparent, and half_transparent=drop or threshold clears them all; type blend"
        findings.append(Finding("blank", Severity.error, called, text))
    size, cells_px = (native.shape[1], native.shape[0]), exact_scale(image)
    candidate = find_candidate(called, native, sprite_colours(native), reading.cutting, not scale.exact)
    return SurveyedSprite(
        tag, words, (width, height), size, scale, candidate.colours, cells_px, None, candidate, treatment
    )


def _scale(image: Pixels, reading: Reading, called: str, findings: list[Finding]) -> NativeScale:
    """The scale to act on: the user's, or the one found."""
    if reading.scale is not None:
        if exact_scale(image) % reading.scale:
            text = f"not an enlargement by {reading.scale}; give scale=auto, or bring it to that scale"
            findings.append(Finding("other_scale", Severity.error, called, text))
            return AS_IT_IS
        return NativeScale(reading.scale, (0, 0), 1.0, True)
    return detect_scale(image)


def check_image(called: str, image: Pixels, scale: NativeScale) -> list[Finding]:
    """Findings about one sprite as it lies in its file, RGBA (H, W, 4); runs in the workers, beside the decoding."""
    if not image[..., 3].any():
        return [Finding("blank", Severity.error, called, "no visible pixel; remove it")]
    return lint_image(called, image, scale)


def _native(image: Pixels, scale: NativeScale, treatment: Treatment) -> NativeSprite:
    native = treatment.apply(without_hidden_colour(to_native(image, scale)))
    return NativeSprite(native, native[..., 3])


class NativeSprites(Mapping[str, Pixels]):
    """The native RGBA sprites of a surveyed set by label, each read from its file when asked for.

    They are kept up to `KEPT_BYTES` in all, so that small sprites are read once and memory stays bounded.
    """

    def __init__(self, files: Sequence[SurveyedFile], reading: Reading) -> None:
        self._places = {label(f.source.name, s.tag): (f, s) for f in files for s in f.sprites}
        self._reading = reading
        self._kept: dict[str, Pixels] = {}
        self._room = KEPT_BYTES

    def comparable(self) -> tuple["NativeSprites", list[Finding]]:
        """Those that are small enough to be compared with one another, and a note on each of the others."""
        small, findings = copy.copy(self), list[Finding]()
        small._places = dict(self._places)
        for name, (_, sprite) in self._places.items():
            width, height = sprite.native_size
            try:
                limits.COMPARED_PIXELS.check(width * height, found=f"{width}x{height}")
            except ValueError as error:
                findings.append(Finding("uncompared", Severity.note, name, str(error)))
                del small._places[name]
        return small, findings

    def __getitem__(self, name: str) -> Pixels:
        if name in self._kept:
            return self._kept[name]
        file, sprite = self._places[name]
        pixels = next(read_natives(file.source, self._reading, [sprite])).pixels
        if pixels.nbytes <= self._room:
            self._kept[name] = pixels
            self._room -= pixels.nbytes
        return pixels

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
