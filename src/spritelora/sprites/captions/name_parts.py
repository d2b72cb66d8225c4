"""The subject, view and action that names of images tell: `Knight/walk_left_03.png` is a knight, walking left."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from spritelora.sprites.captions.name_words import (
    ACTIONS,
    CATEGORIES,
    COLLECTIONS,
    DIRECTIONS,
    FILE_WORDS,
    FRAME_OR_CELL,
    GENDERS,
    LAST_WORDS,
    LIKELY_ACTIONS,
    LIKELY_VIEWS,
    NUMBER,
    PLACES,
    SHORT_DIRECTIONS,
    VIEWS,
    split_words,
)

KOHYA = re.compile(r"[1-9]\d*_(.+)", re.DOTALL)
COUNTING = re.compile(r"0\d+")
"""A number in front that counts files: `01_knight`."""

ANIMATION_WORDS = frozenset({"anim", "anims", "animation", "animated", "strip", "spritestrip"})


@dataclass(frozen=True)
class NameParts:
    """The parts of an image's name.

    `subject`: words for what it shows (`big demon`), empty where the name holds none. `action`: (`walking`), `view`:
    (`left`, `face`, `front view`), as a caption says them, empty where there is none. `owner`: the folder and the
    subject, the same for all images of one subject, however they are called; with `variant` where numbers tell
    several apart (`Slime2`). Empty as `subject`. `frame`: the number of a frame, empty where it may be a variant.
    """

    subject: str
    action: str = ""
    view: str = ""
    owner: str = ""
    variant: str = ""
    frame: str = ""

    @property
    def phrases(self) -> tuple[str, ...]:
        """Action and view as phrases of a caption: `walking left`, or `attacking` and `front view`."""
        if self.action and self.view in {*DIRECTIONS, *SHORT_DIRECTIONS.values()}:
            return (f"{self.action} {self.view}",)
        return tuple(filter(None, (self.action, self.view)))


@dataclass
class _Read:
    """The words of a name while they are read from its end: what is left of them, and what the others told."""

    words: list[str]
    action: str = ""
    view: str = ""
    numbers: list[str] = field(default_factory=list[str])
    is_animation: bool = False

    @property
    def tells_pose(self) -> bool:
        return bool(self.action or self.view or self.is_animation)


def parts_of_names(names: Sequence[str]) -> list[NameParts]:
    """The parts of each image path of a set, with `/`.

    The subject is in the file's name or, where that has none, in the innermost folder that has one. A file that is
    called by a number alone names nothing: there its folder is no subject, unless kohya's (`10_knight`). What may be
    an action or a subject (`ice_block`) is an action beside others of the same subject.
    """
    paths = [PurePosixPath(name) for name in names]
    stems = [_read(split_words(path.stem)) for path in paths]
    poses: dict[tuple[PurePosixPath, str], set[str]] = defaultdict(set)
    for path, stem in zip(paths, stems, strict=True):
        if stem.action or stem.view:
            poses[path.parent, " ".join(stem.words)].add(stem.action or stem.view)
    for path, stem in zip(paths, stems, strict=True):
        _settle(stem, poses.get((path.parent, " ".join(stem.words[:-1])), set()))
    bodies = {(path.parent, *stem.words) for path, stem in zip(paths, stems, strict=True)}
    return [_parts(path, _gendered(path, stem, bodies)) for path, stem in zip(paths, stems, strict=True)]


def parts_of_words(text: str) -> NameParts:
    """The parts of a frame's or tag's name, which lies in no folder: of `goblin_attack_0`, goblin and attacking."""
    return parts_of_names([text.replace("/", " ") + ".png"])[0]


def _read(words: list[str]) -> _Read:
    """Take from the end what is no subject, as long as there is any; words for files go wherever they are."""
    read = _Read([w for w in _joined(words) if w not in FILE_WORDS])
    read.is_animation = not ANIMATION_WORDS.isdisjoint(words)
    has_place = not PLACES.isdisjoint(words)
    while read.words and _take(read, read.words[-1], has_place):
        read.words.pop()
    if not COLLECTIONS.isdisjoint(read.words):
        read.words = []
    if len(read.words) > 1 and COUNTING.fullmatch(read.words[0]):
        read.words.pop(0)
    if len(read.words) > 1 and read.words[0] == "icon":
        read.view = read.view or VIEWS[read.words.pop(0)]
    return read


def _joined(words: list[str]) -> list[str]:
    """`in hand` and `side view` as one word, `walk2` and `strip4` as two, and `frame` beside its number as a frame."""
    joined: list[str] = []
    for word in words:
        bare = word.rstrip("0123456789")
        known = bare in FILE_WORDS or bare in ACTIONS or bare in LIKELY_ACTIONS or bare in VIEWS or bare in DIRECTIONS
        if word == "hand" and joined and joined[-1] == "in":
            joined[-1] = "inhand"
        elif word == "view" and joined and joined[-1] in VIEWS:
            continue
        elif bare == "frame" and bare != word:
            joined.append(f"f{word[len(bare) :]}")
        elif word.isdigit() and joined and joined[-1] == "frame":
            joined[-1] = f"f{word}"
        elif known and bare != word:
            joined += [bare, word[len(bare) :]]
        else:
            joined.append(word)
    return joined


def _take(read: _Read, word: str, has_place: bool) -> bool:
    """Whether the last word is no subject; what it tells is kept."""
    if FRAME_OR_CELL.fullmatch(word):
        read.is_animation = read.is_animation or not word.startswith("r")
        read.numbers.append(word.lstrip("fr"))
    elif NUMBER.fullmatch(word):
        read.numbers.append(word)
    elif word in LAST_WORDS:
        return len(read.words) > 1
    elif word in ACTIONS and not read.action:
        read.action = ACTIONS[word]
    elif word in VIEWS and not read.view:
        read.view = VIEWS[word]
    elif word in DIRECTIONS and not read.view and not has_place:
        read.view = word
    elif word in SHORT_DIRECTIONS and not read.view and len(read.words) > 1 and read.words[-2] in ACTIONS:
        read.view = SHORT_DIRECTIONS[word]
    else:
        digits = word[len(word.rstrip("0123456789")) :]
        if digits and word != digits:
            read.words[-1] = word[: -len(digits)]
            read.numbers.append(digits)
        return False
    return True


def _settle(read: _Read, poses: set[str]) -> None:
    """Take a last word that may be an action or view for one: in an animation's name, or where others show a pose.

    `poses`: of the images of the same folder whose names have the other words.
    """
    last = read.words[-1] if read.words else ""
    if not (read.is_animation or poses):
        return
    if last in LIKELY_ACTIONS and not read.action:
        read.action = LIKELY_ACTIONS[last]
    elif last in LIKELY_VIEWS and not read.view:
        read.view = LIKELY_VIEWS[last]
    else:
        return
    read.words.pop()


def _gendered(path: PurePosixPath, read: _Read, bodies: set[tuple[PurePosixPath | str, ...]]) -> _Read:
    """`wizard f` is a female wizard where the set has a `wizard m` too."""
    for place, word in enumerate(read.words[1:], start=1):
        other = {"f": "m", "m": "f"}.get(word)
        if other and (path.parent, *read.words[:place], other, *read.words[place + 1 :]) in bodies:
            read.words = [GENDERS[word], *read.words[:place], *read.words[place + 1 :]]
            break
    return read


def _parts(path: PurePosixPath, stem: _Read) -> NameParts:
    """The parts of a path whose stem is read: what the stem does not tell, the folders may, the innermost first."""
    is_frame = stem.tells_pose and bool(stem.numbers)
    words, number, owner = stem.words, "" if is_frame else "".join(stem.numbers[:1]), path.parent
    is_nameless = bool(stem.numbers) and not stem.tells_pose
    action, view = stem.action, stem.view
    folders = [(_folder(part), KOHYA.fullmatch(part)) for part in reversed(path.parent.parts)]
    for folder, is_kohya in folders:
        if set(words) <= CATEGORIES:
            words, owner = [], owner.parent
            action, view = action or folder.action, view or folder.view
            if folder.tells_pose or is_kohya:
                is_nameless = False
            if not is_nameless:
                words, number = folder.words, "".join(folder.numbers[:1])
        elif (words, number) == (folder.words, "".join(folder.numbers[:1])):
            owner = owner.parent  # Beast2/Beast2.png beside Beast2/Faceset.png
            break
        else:
            break
    if set(words) <= CATEGORIES:
        return NameParts("", action, view, frame=stem.numbers[0] if is_frame else "")
    subject = " ".join(words)
    return NameParts(subject, action, view, str(owner / subject), number, stem.numbers[0] if is_frame else "")


def _folder(name: str) -> _Read:
    """The words of a folder's name; kohya's number is none of them. One word that may be an action is one."""
    match = KOHYA.fullmatch(name)
    read = _read(split_words(match[1] if match else name))
    if len(read.words) == 1:
        _settle(read, {"folder"} if read.words[0] in LIKELY_ACTIONS else set())
    return read
