"""The places and names of a sheet's frames in its data file; frames cut out and named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spritelora import limits
from spritelora.file_names import tell_apart
from spritelora.sprites.names import printable, slug
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.sheets.frame_tags import SUFFIX, FrameTag, Places, place_frames

LONGEST_WORDS = 60


@dataclass(frozen=True)
class SheetFrame:
    """A frame: its rectangle on the sheet in pixels, and where it lies on its own canvas.

    `size`: of the rectangle, as the frame is seen. `is_turned`: it lies on the sheet turned by 90 degrees clockwise.
    `offset`: x and y of the rectangle on the canvas. `canvas`: width and height.
    """

    name: str
    corner: tuple[int, int]
    size: tuple[int, int]
    is_turned: bool
    offset: tuple[int, int]
    canvas: tuple[int, int]


@dataclass(frozen=True)
class SheetData:
    """The contents of a sheet's data file.

    `places`: the tags that each frame lies in. `note`: why tags were left off, empty where none were. `image`: the
    sheet's name; `size`: its pixels; None where it says nothing.
    """

    frames: list[SheetFrame]
    places: Places
    note: str
    image: str | None
    size: tuple[int, int] | None


def make_sheet(
    frames: Sequence[SheetFrame], tags: Sequence[FrameTag], image: str | None, size: tuple[int, int] | None
) -> SheetData:
    """A sheet of checked frames, each with its tags. Raises ValueError for none, or more than can be meant."""
    if not frames:
        raise ValueError("describes no frames")
    limits.SHEET_FRAMES.check(len(frames))
    limits.SHEET_FRAME_PIXELS.check(sum(f.canvas[0] * f.canvas[1] for f in frames))
    limits.SHEET_TAGS.check(len(tags))
    limits.TAGGED_FRAMES.check(len(frames) * len(tags))
    limits.TAG_PLACES.check(sum(max(0, min(tag.last + 1, len(frames)) - tag.first) for tag in tags))
    for frame in frames:
        if any(o < 0 or o + n > c for o, n, c in zip(frame.offset, frame.size, frame.canvas, strict=True)):
            width, height = frame.canvas
            raise ValueError(f"frame {frame.name!r} does not lie within its own size of {width}x{height} px")
    places, note = place_frames([frame.name for frame in frames], tags)
    return SheetData(list(frames), places, note, image, size)


def whole_number(value: object, what: str, least: int) -> int:
    """A number of a data file, checked. Raises ValueError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= limits.SIDE_PX.most:
        raise ValueError(f"{what} is {str(value)[:40]}, not a whole number from {least} to {limits.SIDE_PX.most:,}")
    return value


def cut_frames(sheet: Pixels, data: SheetData) -> list[Pixels]:
    """Every frame on its own canvas, RGBA. Raises ValueError where one lies outside the sheet."""
    height, width = sheet.shape[:2]
    if data.size is not None and data.size != (width, height):
        raise ValueError(
            f"describes {printable(data.image or 'a sheet')} of {data.size[0]}x{data.size[1]} px, and this image has "
            f"{width}x{height} px; give it the name of its own sheet, or remove it"
        )
    for frame in data.frames:
        w, h = frame.size[::-1] if frame.is_turned else frame.size
        if frame.corner[0] + w > width or frame.corner[1] + h > height:
            raise ValueError(f"frame {frame.name!r} lies outside the sheet of {width}x{height} px; export it again")
    return [_cut(sheet, frame) for frame in data.frames]


def name_frames(data: SheetData, stem: str) -> list[tuple[str, tuple[str, ...]]]:
    """A tag for each frame that no other has (`walk_2`), and words for its caption from its tags and its name.

    `stem`: of the sheet's file; words that it has are not said again. A frame in several tags is named by the
    shortest.
    """
    plain_stem = slug(stem)
    tags: list[str] = []
    words: list[tuple[str, ...]] = []
    for index, (frame, places) in enumerate(zip(data.frames, data.places, strict=True)):
        bare = slug(SUFFIX.sub("", frame.name)).removeprefix(plain_stem).strip("-")
        named = next((place for place in places if slug(place.tag)), None)
        if named is not None:
            tags.append(f"{slug(named.tag)}_{named.number}")
        else:
            tags.append(str(index) if not bare or bare.isdigit() else bare)
        phrases = {slug(name): caption_phrase(name) for name in [*(p.tag for p in places), bare.rstrip("0123456789-")]}
        words.append(tuple(phrase for known, phrase in phrases.items() if known and known != plain_stem))
    return list(zip(tell_apart(tags), words, strict=True))


def caption_phrase(name: str) -> str:
    """A name as words of a caption: no separators, no commas, nothing invisible."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in name).split())[:LONGEST_WORDS].rstrip()


def _cut(sheet: Pixels, frame: SheetFrame) -> Pixels:
    x, y = frame.corner
    w, h = frame.size[::-1] if frame.is_turned else frame.size
    part = sheet[y : y + h, x : x + w]
    if frame.is_turned:
        part = np.rot90(part)
    left, top = frame.offset
    canvas = np.zeros((frame.canvas[1], frame.canvas[0], 4), dtype=np.uint8)
    canvas[top : top + frame.size[1], left : left + frame.size[0]] = part
    return canvas
