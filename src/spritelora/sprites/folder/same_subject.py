"""Which sprites of a set show one subject: its frames, its views, and the same in other colours."""

from collections import Counter
from collections.abc import Sequence

from spritelora.sprites.folder.groups import animation_of, without_poses
from spritelora.sprites.folder.sprite_folder import CaptionedSprite


def find_subjects(sprites: Sequence[CaptionedSprite], numbers_apart: bool = True) -> list[str]:
    """The subject of each sprite: a name that those of one subject share.

    It is their group by names. A group may hold many subjects where it is a sheet and where numbers alone part its
    names (`sword_01`, `sword_02`): there, captions that differ in more than poses and directions tell them apart.
    Sprites of the same shapes in other colours are one subject wherever they are. `numbers_apart`: false for runs that
    were begun when names with other numbers were always one subject.
    """
    counts = Counter(_original(sprite) for sprite in sprites)
    mixed = {sprite.group for sprite in sprites if counts[_original(sprite)] > 1}
    if numbers_apart:
        animated = {sprite.group for sprite in sprites if animation_of(sprite.name)}
        mixed |= {sprite.group for sprite in sprites} - animated
    names = [_name(sprite, sprite.group in mixed) for sprite in sprites]
    same = {name: name for name in names}

    def first(name: str) -> str:
        while same[name] != name:
            name = same[name]
        return name

    known: dict[bytes, str] = {}
    for sprite, name in zip(sprites, names, strict=True):
        if sprite.shapes is not None:
            same[first(name)] = first(known.setdefault(sprite.shapes, name))
    return [first(name) for name in names]


def _original(sprite: CaptionedSprite) -> tuple[str, str]:
    """The file that a sprite was cut out of; itself where it was not."""
    prepared = sprite.prepared
    return (str(prepared.folder), prepared.record.source) if prepared else ("", sprite.name)


def _name(sprite: CaptionedSprite, is_mixed: bool) -> str:
    return f"{sprite.group}: {without_poses(sprite.caption)}" if is_mixed else sprite.group
