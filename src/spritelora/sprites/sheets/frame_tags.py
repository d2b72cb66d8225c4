"""Which tags of an Aseprite file each frame of its sheet lies in; a tag that cannot be told is left off, never guessed.

Tags count the frames of the whole file, from 0. A sheet may hold only some of them (one tag, no untagged frames, no
empty ones), those of several files, or each layer's by itself; names then count the exported frames.
Source: Aseprite's "Export Sprite Sheet" and its item filename, `{title} ({layer}) #{tag} {frame}.{extension}`.
"""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from spritelora.sprites.names import printable, slug

SUFFIX = re.compile(r"\.(aseprite|ase|png|gif|webp|bmp|jpe?g|psd)$", re.IGNORECASE)
LAYER = re.compile(r" \((?P<layer>[^()]*)\)(?= ?#|\Z)", re.DOTALL)
LONGEST_NAME = 255
"""Of longer ones nothing is told."""

REMEDY = "export all frames of one file, or set the item filename to {title} #{tag} {tagframe}"
MAX_NAMED = 3


@dataclass(frozen=True)
class FrameTag:
    """A run of frames of a file with a name, from the first to the last."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class TagPlace:
    """A tag that a frame lies in, and the frame's number there, from 0."""

    tag: str
    number: int


Places = list[tuple[TagPlace, ...]]


@dataclass(frozen=True)
class FrameName:
    """The parts of a frame's name; empty where it has none, the number None."""

    title: str
    layer: str
    tag: str
    number: int | None


def parse_name(name: str) -> FrameName:
    """A name such as `hero (Body) #walk 3.aseprite` in its parts, in time linear in its length."""
    if len(name) > LONGEST_NAME:
        return FrameName(name, "", "", None)
    rest = SUFFIX.sub("", name)
    digits = next((n for n, c in enumerate(reversed(rest)) if not c.isdecimal()), len(rest))
    number = int(rest[len(rest) - digits :]) if digits else None
    if number is not None:
        rest = rest[: len(rest) - digits].rstrip(" _.-")
    layer = LAYER.search(rest)
    if layer and "#" not in rest[: layer.start()]:
        return FrameName(rest[: layer.start()], layer["layer"], rest[layer.end() :].lstrip(" ")[1:], number)
    title, sign, tag = rest.partition("#")
    return FrameName(title.removesuffix(" ") if sign else title, "", tag, number)


def place_frames(frame_names: Sequence[str], tags: Sequence[FrameTag]) -> tuple[Places, str]:
    """The tags of each frame, the shortest first; and why tags are left off, empty where they are not."""
    nowhere: Places = [() for _ in frame_names]
    if not tags:
        return nowhere, ""
    names = _tags_in_brackets([parse_name(name) for name in frame_names], tags)
    known = {tag.name for tag in tags}
    if any(name.tag in known for name in names):
        return _by_names(names, tags), ""
    last, titles = max(tag.last for tag in tags), list(dict.fromkeys(name.title for name in names))
    if len(titles) > 1:
        places = [tags_of_frame(frame, tags) for frame in range(len(names))]
        if last < len(names) and all(_agree(name, place) for name, place in zip(names, places, strict=True)):
            return places, ""
        files = ", ".join(map(printable, titles[:MAX_NAMED])) + (", ..." if len(titles) > MAX_NAMED else "")
        return nowhere, f"{len(titles)} files are in one sheet ({files}) and tags do not say whose they are; {REMEDY}"
    frames = _frames_of_file(names, tags)
    if frames is None:
        return nowhere, (
            f"they go up to frame {last}, from 0, and the sheet has {len(names)} frames that do not say where in the "
            f"file they stood; {REMEDY}"
        )
    return [tags_of_frame(frame, tags) for frame in frames], ""


def _tags_in_brackets(names: Sequence[FrameName], tags: Sequence[FrameTag]) -> list[FrameName]:
    """Names whose brackets hold a tag instead of a layer: no more frames have it than the tag has."""
    longest = {tag.name: tag.last - tag.first + 1 for tag in tags}
    counts = Counter((name.title, name.layer) for name in names)
    return [
        dataclasses.replace(name, layer="", tag=name.layer)
        if not name.tag and counts[name.title, name.layer] <= longest.get(name.layer, 0)
        else name
        for name in names
    ]


def _by_names(names: Sequence[FrameName], tags: Sequence[FrameTag]) -> Places:
    """Places by the tag in each name; in tags around it too, where one file alone has that tag and once."""
    numbers = _numbers_in_group(names, {tag.name: tag.last - tag.first + 1 for tag in tags})
    counts = Counter(tag.name for tag in tags)
    is_one_file = len({name.title for name in names}) == 1
    places: Places = []
    for name, number in zip(names, numbers, strict=True):
        tag = next((tag for tag in tags if tag.name == name.tag), None)
        if tag is None:
            places.append(())
            continue
        own = TagPlace(tag.name, number)
        is_told = is_one_file and counts[tag.name] == 1 and number <= tag.last - tag.first
        around = tags_of_frame(tag.first + number, tags) if is_told else ()
        places.append((own, *(place for place in around if place.tag != tag.name)))
    return places


def _numbers_in_group(names: Sequence[FrameName], lengths: Mapping[str, int]) -> list[int]:
    """Each frame's number within its title, layer and tag: as named or else by order.

    `lengths`: frames of each tag; where numbers go beyond them, they are counted from the first one on.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        groups[name.title, name.layer, name.tag].append(place)
    numbers = [0] * len(names)
    for places in groups.values():
        named = [names[place].number for place in places]
        counted = [number for number in named if number is not None]
        is_told = len({*counted}) == len(named)
        first = min(counted) if is_told and max(counted) >= lengths.get(names[places[0]].tag, 0) else 0
        for order, place in enumerate(places):
            numbers[place] = counted[order] - first if is_told else order
    return numbers


def _frames_of_file(names: Sequence[FrameName], tags: Sequence[FrameTag]) -> list[int] | None:
    """Each frame's number in its file, layer by layer; None where it cannot be told."""
    frames = [0] * len(names)
    for layer in {name.layer for name in names}:
        places = [place for place, name in enumerate(names) if name.layer == layer]
        told = _settle([names[place].number for place in places], tags)
        if told is None:
            return None
        for place, frame in zip(places, told, strict=True):
            frames[place] = frame
    return frames


def _settle(named: Sequence[int | None], tags: Sequence[FrameTag]) -> list[int] | None:
    """The frames that numbers in names mean.

    Numbers from 0 or 1 on may count the exported frames alone: they are a file's if no tag goes beyond them. Others are
    a file's if, counted from 0 or else from 1, they hold each tag whole or not at all, and only one reading does so.
    """
    last = max(tag.last for tag in tags)
    numbers = [number for number in named if number is not None]
    if len({*numbers}) < len(named):
        return list(range(len(named))) if last < len(named) else None
    for start in (0, 1):
        if min(numbers) == start:
            return [number - start for number in numbers] if last <= max(numbers) - start else None
    readings = [[number - start for number in numbers] for start in (0, 1)]
    readings += [list(range(len(numbers)))] if last < len(numbers) else []
    whole = [frames for frames in readings if all(_is_whole(tag, {*frames}) for tag in tags)]
    return whole[0] if len(whole) == 1 else None


def _is_whole(tag: FrameTag, frames: set[int]) -> bool:
    return sum(tag.first <= frame <= tag.last for frame in frames) in (0, tag.last - tag.first + 1)


def tags_of_frame(frame: int, tags: Sequence[FrameTag]) -> tuple[TagPlace, ...]:
    """The tags that a frame of a file lies in, the shortest first."""
    own = sorted((t for t in tags if t.first <= frame <= t.last), key=lambda t: (t.last - t.first, t.first))
    return tuple(TagPlace(tag.name, frame - tag.first) for tag in own)


def _agree(name: FrameName, places: Sequence[TagPlace]) -> bool:
    """Whether a frame's title has the words of a tag that it lies in by order, or it lies in none."""
    return not places or any(f"-{slug(place.tag)}-" in f"-{slug(name.title)}-" for place in places)
