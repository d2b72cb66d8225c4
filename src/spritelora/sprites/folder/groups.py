"""Which images show the same thing, so that a split never trains on one and judges by the other."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

POSES = frozenset(
    {
        "idle", "walk", "walking", "run", "running", "jump", "jumping", "fall", "falling", "attack",
        "attacking", "slash", "thrust", "shoot", "shooting", "cast", "casting", "spell", "hit", "hurt", "die",
        "dying", "death", "dead", "block", "crouch", "climb", "swim", "fly", "sit", "sleep", "stand", "up",
        "down", "left", "right", "north", "south", "east", "west", "front", "back", "side", "n", "s", "e", "w",
        "ne", "nw", "se", "sw", "frame", "frames", "anim", "animation", "sheet", "spritesheet",
    }
)  # fmt: skip
"""Words that tell poses and directions of one character apart."""

UNNAMED = frozenset(
    {
        "sprite", "sprites", "image", "img", "picture", "pic", "photo", "screenshot", "tile", "icon", "item",
        "object", "asset", "texture", "untitled", "new", "pixil", "file", "export", "output", "download",
    }
)  # fmt: skip
"""Words that name nothing: with a number they are as many things as numbers."""

CELL = re.compile(r"r\d+c\d+|f?\d+|\(\d+\)")
FRAME = re.compile(r"r\d+c\d+|f\d+")
SEPARATORS = re.compile(r"[ ._-]+")


def group_names(names: Sequence[str]) -> list[str]:
    """The group of each image path.

    Images of one folder belong together when their stems differ by frame numbers, cells (`r0c3`) and words for poses
    and directions alone: `knight_walk_01` and `knight_idle_left_2` are `knight`. Where nothing else is left of the
    stem, the folder is the character. Numbers alone, or after a word such as `sprite`, name a thing each; so does
    every image of a set that would be one single group.
    """
    groups = [_group_of(PurePosixPath(name)) for name in names]
    if len(set(groups)) == 1:
        return [str(PurePosixPath(name).with_suffix("")) for name in names]
    return groups


def without_poses(caption: str) -> str:
    """The words of a caption that are no pose, direction or number."""
    words = [word for word in re.split(r"[\W_]+", caption.lower()) if word]
    return " ".join(word for word in words if not CELL.fullmatch(word) and _without_number(word) not in POSES)


def animation_of(name: str) -> str:
    """The group of an image path that says it is a pose or a frame: `knight_walk_01`, `coin_f0`; else empty."""
    path = PurePosixPath(name)
    is_frame = any(FRAME.fullmatch(word) or _without_number(word) in POSES for word in _split(path)[1])
    return _group_of(path) if is_frame else ""


def _split(path: PurePosixPath) -> tuple[list[str], list[str]]:
    """The words of a stem that name something, and those after them for frames, poses and directions."""
    words = [w for w in SEPARATORS.split(path.stem.lower()) if w]
    kept = list(words)
    while kept and (CELL.fullmatch(kept[-1]) or _without_number(kept[-1]) in POSES):
        kept.pop()
    return kept, words[len(kept) :]


def _group_of(path: PurePosixPath) -> str:
    kept, rest = _split(path)
    if kept:
        kept[-1] = _without_number(kept[-1])
    has_pose = any(_without_number(w) in POSES for w in rest)
    if (not kept and not has_pose) or (len(kept) == 1 and kept[0] in UNNAMED):
        return str(path.with_suffix(""))
    return str(path.parent / "_".join(kept))


def _without_number(word: str) -> str:
    return word.rstrip("0123456789") or word
