"""Which sprites of a set stand on a ground that is not theirs: each is judged beside all others.

What one sprite shows is in doubt as soon as the ground's colour is in the figure too. The set says more: whether most
of it stands on plain colours, and whether a colour is that of its outlines or its floors.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spritelora.sprites.backgrounds.candidate import Candidate, Cutting, packed
from spritelora.sprites.backgrounds.ground import Colour, Ground, Shape
from spritelora.sprites.backgrounds.ground_group import covering, group_by_ground, least_usual
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import some_of
from spritelora.sprites.pixels.image import hex_colour
from spritelora.sprites.pixels.matte import SpriteColours

MOST_NAMED = 5


@dataclass(frozen=True)
class SetGrounds:
    """The ground to cut out of each sprite by name, and what is to be said."""

    grounds: dict[str, Ground]
    findings: list[Finding]

    def of(self, sprite: Candidate | None) -> Ground | None:
        """The ground that a sprite loses, None for one that keeps its own or has none."""
        return self.grounds.get(sprite.name) if sprite else None

    def colours_of(self, sprite: Candidate | None) -> SpriteColours | None:
        """The colours of a sprite that loses its ground, None where they are not known from looking for it."""
        ground = self.of(sprite)
        if ground is None or sprite is None or sprite.standing is None or sprite.figure is None:
            return None
        if ground != dataclasses.replace(sprite.standing.ground, holes=ground.holes):
            return None
        if not ground.holes or not sprite.standing.num_enclosed:
            return sprite.figure
        if ground.is_noisy:
            return None
        return dataclasses.replace(
            sprite.figure, visible=sprite.figure.visible[sprite.figure.visible != packed(ground.colour)]
        )


def settle_grounds(sprites: Sequence[Candidate], wish: Cutting, section: str = "") -> SetGrounds:
    """The ground of each sprite that is to lose one. `section`: of the keys to type in messages, such as `data.`."""
    if not wish.is_on:
        return SetGrounds({}, [])
    if wish.colour is not None:
        cut = [s for s in sprites if s.standing and s.standing.shape is not Shape.empty]
        grounds = {s.name: dataclasses.replace(s.standing.ground, holes=wish.holes) for s in cut if s.standing}
        told = [*_cut(grounds, section), *_enclosed(cut, grounds, section)]
        return SetGrounds(grounds, told or [_not_found(wish.colour, section)])
    return _judged(sprites, wish, section)


def _judged(sprites: Sequence[Candidate], wish: Cutting, section: str) -> SetGrounds:
    groups = group_by_ground(sprites, wish)
    usual_from = least_usual(sprites, groups)
    grounds: dict[str, Ground] = {}
    kept: dict[str, Colour] = {}
    for group in groups:
        cut, doubted = group.judge(usual_from)
        for sprite in cut:
            grounds[sprite.name] = group.ground_of(sprite)
        kept |= {s.name: group.colour for s in doubted}
    for group in groups:
        if group.is_key and group.is_known:
            others = {name: g for name, g in covering(group.colour, sprites).items() if name not in grounds}
            grounds |= {name: dataclasses.replace(ground, holes=wish.holes) for name, ground in others.items()}
    kept = {name: colour for name, colour in kept.items() if name not in grounds}
    told = [*_cut(grounds, section), *_boxed(kept, section)]
    return SetGrounds(grounds, [*told, *_enclosed([s for s in sprites if s.name in grounds], grounds, section)])


def _cut(grounds: dict[str, Ground], section: str) -> list[Finding]:
    if not grounds:
        return []
    colours = sorted({hex_colour(g.colour) for g in grounds.values()})
    number = len(grounds)
    text = (
        f"the background of {number:,} {'sprite was' if number == 1 else 'sprites was'} cut out "
        f"({some_of(colours, MOST_NAMED)}); {section}cut_background=keep leaves it"
    )
    return [Finding("cut_background", Severity.note, "", text)]


def _not_found(colour: Colour, section: str) -> Finding:
    text = (
        f"{section}cut_background={hex_colour(colour)}: no opaque sprite has this colour at its border, so nothing was "
        f"cut out; look the colour up in an image editor, or type {section}cut_background=auto"
    )
    return Finding("no_background", Severity.warning, "", text)


def _boxed(kept: dict[str, Colour], section: str) -> list[Finding]:
    """One line about the sprites that keep a ground which may be theirs or not."""
    if not kept:
        return []
    is_one, ((first, colour), *_) = len(kept) == 1, sorted(kept.items())
    named = some_of([f"{name} ({hex_colour(kept[name])})" for name in sorted(kept)], MOST_NAMED)
    subject = f"its background {hex_colour(colour)}" if is_one else f"the backgrounds of {len(kept):,} sprites"
    text = (
        f"kept {subject}, which may be part of the drawing{'' if is_one else f': {named}'}; "
        f"{section}cut_background={hex_colour(colour)} cuts {'it' if is_one else 'that colour'} out, "
        f"{section}cut_background=keep leaves all backgrounds"
    )
    return [Finding("boxed_background", Severity.warning, first if is_one else "", text)]


def _enclosed(sprites: Iterable[Candidate], grounds: dict[str, Ground], section: str) -> list[Finding]:
    """One line about the sprites that enclose the colour of the ground which they lost."""
    kept = [s.name for s in sprites if s.standing and s.standing.num_enclosed and not grounds[s.name].holes]
    if not kept:
        return []
    text = (
        f"inside {some_of(kept, MOST_NAMED)} the colour of the background stays, for it may be the figure's own; "
        f"where it is a hole, {section}cut_holes=true cuts it out"
    )
    return [Finding("enclosed_background", Severity.note, "", text)]
