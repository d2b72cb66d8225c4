"""The sprites of an Aseprite file: its slices, or its canvas; of one frame or all, with words from tags and layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora import limits
from spritelora.file_names import tell_apart
from spritelora.shown import counted
from spritelora.sprites.ase.binary import AseError
from spritelora.sprites.ase.document import Document, Mode, Slice
from spritelora.sprites.ase.pillow_file import AseImage
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import printable, slug
from spritelora.sprites.pixels.image import Pixels, open_image
from spritelora.sprites.sheets.frame_tags import FrameTag, tags_of_frame
from spritelora.sprites.sheets.frames import check_animation, read_frame
from spritelora.sprites.sheets.sheet_data import caption_phrase

WORKING_NAMES = frozenset(
    {
        "background", "bg", "base", "color", "colors", "colour", "colours", "copy", "details", "fill", "flat", "flats",
        "flattened", "fx", "glow", "grid", "group", "guide", "highlight", "highlights", "ink", "layer", "light",
        "lighting", "line", "lineart", "lines", "merged", "outline", "palette", "reference", "shade", "shades",
        "shading", "shadow", "shadows", "sketch", "sprite", "tilemap", "tiles", "tileset",
    }
)  # fmt: skip
"""Words of layers that say how a sprite was drawn, not what it shows."""

MOST_LAYER_NAMES = 6
"""With more layers than this their names are parts, and too many for a caption."""


@dataclass(frozen=True)
class AsePart:
    """A sprite of an Aseprite file: its tag, pixels, and words for its caption."""

    tag: str
    pixels: Pixels
    words: tuple[str, ...]


def cut_document(file: Path, all_frames: bool) -> list[AsePart]:
    """The sprites of an Aseprite file; none of a file of another format. Raises DatasetError as `open_image`.

    Its slices are cut out where it has any, each in the frames where it is not hidden.
    """
    with open_image(file) as image:
        if not isinstance(image, AseImage):
            return []
        document = image.document
        numbers = range(len(document.frames)) if all_frames else range(1)
        try:
            most = limits.SHEET_PIXELS if document.slices else limits.SPRITE_PIXELS
            most.check(image.width * image.height, found=f"{image.width}x{image.height}")
            check_animation(image, len(numbers))
        except ValueError as error:
            raise AseError(str(error)) from error
        parts = [part for n in numbers for part in _parts(document, n, read_frame(image, n), len(numbers) > 1)]
    tags = tell_apart(part.tag for part in parts)
    return [AsePart(tag, part.pixels, part.words) for tag, part in zip(tags, parts, strict=True)]


def document_notes(file: Path, name: str) -> list[Finding]:
    """Notes on an Aseprite file, called `name`, that may look otherwise there; none of a file of another format.

    Raises DatasetError as `open_image`.
    """
    with open_image(file) as image:
        document = image.document if isinstance(image, AseImage) else None
    if document is None:
        return []
    blended = [layer for layer in document.layers if layer.is_visible and layer.mode is not Mode.normal]
    notes: list[Finding] = []
    if blended:
        modes = ", ".join(f"'{printable(layer.name)}' ({layer.mode.name})" for layer in blended[:MOST_LAYER_NAMES])
        message = f"{counted(len(blended), 'layer')} drawn by the public formula of a blend mode: {modes}; "
        notes.append(Finding("blend_modes", Severity.note, name, message + "look at it, and flatten it if it differs"))
    if document.profile:
        message = f"{document.profile} is passed over, its colours are taken as sRGB; convert it to sRGB if they differ"
        notes.append(Finding("colour_profile", Severity.note, name, message))
    return notes


def _parts(document: Document, frame: int, pixels: Pixels, is_numbered: bool) -> Iterator[AsePart]:
    """The sprites of one frame, on square pixels."""
    tags = tags_of_frame(frame, [FrameTag(tag.name, tag.first, tag.last) for tag in document.tags])
    number = next((f"{slug(place.tag)}_{place.number}" for place in tags if slug(place.tag)), str(frame))
    words = [*(place.tag for place in tags), *_layer_names(document, frame)]
    if not document.slices:
        yield AsePart(number if is_numbered else "", pixels, _phrases(words))
        return
    for place, cut in enumerate(document.slices):
        if (part := _cut(document, cut, frame, pixels)) is not None:
            name = slug(cut.name) or str(place)
            yield AsePart(f"{name}_{number}" if is_numbered else name, part, _phrases([cut.name, *words]))


def _cut(document: Document, cut: Slice, frame: int, pixels: Pixels) -> Pixels | None:
    """The part of a frame in a slice, without what lies beyond the canvas; None where nothing of it is seen."""
    if (key := cut.at(frame)) is None:
        return None
    (across, down), (x, y), (width, height) = document.pixel, key.corner, key.size
    part = pixels[max(0, y) * down : max(0, y + height) * down, max(0, x) * across : max(0, x + width) * across]
    return part.copy() if part.size else None


def _layer_names(document: Document, frame: int) -> list[str]:
    """The names of the layers that a frame shows and of their groups, unless they tell of drawing alone."""
    names: dict[str, None] = {}
    for index in document.drawn_layers(frame):
        way: list[str] = []
        while index >= 0:
            way.append(document.layers[index].name)
            index = document.layers[index].parent
        names |= dict.fromkeys(name for name in reversed(way) if _is_telling(name))
    return list(names) if len(names) <= MOST_LAYER_NAMES else []


def _is_telling(name: str) -> bool:
    words = [word.rstrip("0123456789") for word in slug(name).split("-")]
    return any(word and word not in WORKING_NAMES for word in words)


def _phrases(names: Sequence[str]) -> tuple[str, ...]:
    """Names as phrases of a caption, each once."""
    phrases = {slug(name): caption_phrase(name) for name in names}
    return tuple(phrase for known, phrase in phrases.items() if known)
