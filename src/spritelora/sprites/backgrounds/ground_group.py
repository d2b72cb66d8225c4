"""The sprites of a set that stand on one colour, and which of them are sure to lose it."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from spritelora.sprites.backgrounds.candidate import Candidate, Cutting, packed
from spritelora.sprites.backgrounds.ground import NOISE, Colour, Ground, Shape, Standing, lightness
from spritelora.sprites.pixels.matte import is_near

BOXED_OF_OPAQUE, BOXED_OF_ALL = 0.5, 0.1
"""From these shares on sprites on plain colours are no exception in their set, as a floor among other tiles is."""

USUAL_SHARE = 0.05
"""Where several colours are grounds, each has at least this share of what stands on any."""

MANY, FEW, MANY_SHARE = 8, 3, 0.25
"""So many sprites on one ground tell what it is, also to those that cover some of their border; in a small set the
share of it that is given, and at least few."""

FULL_BORDER, MOST_OF_BORDER = 0.98, 0.75
FLOOR_SHARE = 0.1
"""From this share on of images that are all one colour, that is a floor's; a few are empty cells."""

OWN_SHARE = 0.1
"""From this share of the figures on, a dark colour that they hold inside is their outlines'."""

DARK = 64
"""Outlines are darker than this, in luma."""

FAR = 96
"""A figure that has a key colour itself has others of its ramp too, which differ from it by less."""

MAGENTA = (255, 0, 255)
"""The key colour that one sprite on it tells for the whole set: it is no colour of a ramp."""

LEVELS, LEVEL_PX = (0, 128, 255), 24
"""A key colour has channels near these levels: magenta, teal, pure green. Artists use pure red and yellow, too."""


@dataclass(frozen=True)
class GroundGroup:
    """Sprites that stand on one colour, and how many there are in the set, opaque ones and all."""

    colour: Colour
    members: Sequence[Candidate]
    num_opaque: int
    num_all: int
    wish: Cutting

    @property
    def is_key(self) -> bool:
        """Whether the colour is one that is chosen because nobody draws with it."""
        is_level = all(min(abs(c - level) for level in LEVELS) < LEVEL_PX for c in self.colour)
        red, _, blue = self.colour
        return is_level and max(self.colour) - min(self.colour) > FAR and not red > blue + FAR

    @property
    def is_magenta(self) -> bool:
        """True for magenta, and for a colour that a JPEG makes of it."""
        return _is_alike(self.colour, MAGENTA)

    @property
    def is_floor(self) -> bool:
        """Whether the colour is a floor's, for tiles are full of it."""
        full = sum(_standing(m).shape is Shape.empty for m in self.members)
        return not self.is_key and full > FLOOR_SHARE * len(self.members)

    @property
    def is_own(self) -> bool:
        """Whether the colour is that of the figures' outlines."""
        shown = [m for m in self.members if _standing(m).shape is not Shape.empty]
        mixed = sum(map(self._is_mixed_up, shown))
        return lightness(self.colour) < DARK and not self.is_key and mixed >= OWN_SHARE * len(shown) > 0

    @cached_property
    def is_known(self) -> bool:
        """Whether enough sprites tell that the colour is a ground."""
        if self.is_floor or self.is_own:
            return False
        if self.is_magenta and any(_standing(m).shape is Shape.figure and self._is_foreign_to(m) for m in self.members):
            return True
        shown = [m for m in self.members if not _standing(m).ground.is_noisy or _is_boxed(m)]
        shapes = (Shape.figure, Shape.framed) if self.is_key else (Shape.figure,)
        clear = [m for m in shown if _standing(m).shape in shapes and not self._is_mixed_up(m)]
        most = max(BOXED_OF_OPAQUE * self.num_opaque, BOXED_OF_ALL * self.num_all)
        is_most = self.is_key or len(clear) >= most
        many = min(MANY, max(FEW, MANY_SHARE * self.num_all))
        return (len(clear) if is_most else sum(map(_is_boxed, clear))) >= many

    def judge(self, usual_from: float) -> tuple[list[Candidate], list[Candidate]]:
        """The sprites that lose their ground, and those that are in doubt.

        `usual_from`: so many sprites on one colour are no exception in the set.
        """
        is_usual = self.is_key or self.colour == (255, 255, 255)
        may_cut = len(self.members) >= usual_from or self.is_known or is_usual
        is_sure = may_cut and not self.is_floor and not self.is_own
        shown = [m for m in self.members if _standing(m).shape is not Shape.empty]
        cut = [m for m in shown if is_sure and not self._is_mixed_up(m) and (self.is_known or _is_clear(m))]
        names = {m.name for m in cut}
        seems = [m for m in shown if self.is_known or _is_boxed(m) or (is_usual and self._is_mostly_boxed(m))]
        return cut, [m for m in seems if m.name not in names]

    def ground_of(self, member: Candidate) -> Ground:
        """The ground that a sprite loses."""
        return dataclasses.replace(_standing(member).ground, holes=self.wish.holes or self._is_foreign_to(member))

    def _is_foreign_to(self, member: Candidate) -> bool:
        """True for a key colour that the figure of a member has nothing like, not even where it encloses it."""
        if not self.is_key or member.figure is None:
            return False
        visible = member.figure.visible
        return not is_near(self.colour, visible[visible != packed(_standing(member).ground.colour)], FAR).any()

    def _is_mostly_boxed(self, member: Candidate) -> bool:
        """True for a figure that covers little of its border, and on magenta for any figure."""
        standing = _standing(member)
        return standing.shape is Shape.figure and (self.is_magenta or standing.border_share >= MOST_OF_BORDER)

    def _is_mixed_up(self, member: Candidate) -> bool:
        """Whether a figure has the ground's colour inside, and no outline that parts the two."""
        standing = _standing(member)
        return bool(standing.num_enclosed) and not standing.is_sealed and not self.is_key


def _is_alike(first: Colour, second: Colour) -> bool:
    """True for colours that differ by no more than the noise of a JPEG."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) < NOISE


def _standing(sprite: Candidate) -> Standing:
    if sprite.standing is None:
        raise ValueError(f"{sprite.name} stands on no ground")
    return sprite.standing


def _is_boxed(sprite: Candidate) -> bool:
    """Whether a sprite is a figure in the middle of one colour."""
    standing = sprite.standing
    if standing is None or standing.shape not in (Shape.figure, Shape.framed):
        return False
    return standing.border_share >= FULL_BORDER


def _is_clear(sprite: Candidate) -> bool:
    """The same, and it is no tile in a frame."""
    return _is_boxed(sprite) and _standing(sprite).shape is Shape.figure


def least_usual(sprites: Sequence[Candidate], groups: Sequence[GroundGroup]) -> float:
    """The number of sprites from which on those on one colour are no exception; where most have no ground, none is."""
    known = {m.name for group in groups if group.is_known for m in group.members}
    opaque, boxed = sum(s.is_opaque for s in sprites), sum(s.name in known or _is_boxed(s) for s in sprites)
    is_usual = boxed >= max(1, BOXED_OF_OPAQUE * opaque, BOXED_OF_ALL * len(sprites))
    return USUAL_SHARE * boxed if is_usual else float("inf")


def group_by_ground(sprites: Sequence[Candidate], wish: Cutting) -> list[GroundGroup]:
    """The sprites that stand on a ground, by its colour; a noisy one belongs to what it is near to."""
    members: dict[Colour, list[Candidate]] = {}
    for sprite in sorted((s for s in sprites if s.standing), key=lambda s: _standing(s).ground.is_noisy):
        ground = _standing(sprite).ground
        near = [c for c in members if _is_alike(c, ground.colour)]
        colour = near[0] if ground.is_noisy and near else ground.colour
        members.setdefault(colour, []).append(sprite)
    num_opaque = sum(s.is_opaque for s in sprites)
    return [GroundGroup(colour, of_it, num_opaque, len(sprites), wish) for colour, of_it in members.items()]


def covering(colour: Colour, sprites: Iterable[Candidate]) -> dict[str, Ground]:
    """The ground of opaque sprites that show a key colour and cover most of their border, so that they seem not to
    stand on it. On a noisy sprite a colour near it counts.
    """
    found: dict[str, Ground] = {}
    for sprite in sprites:
        ground = sprite.standing.ground if sprite.standing else None
        if sprite.is_opaque and (ground is None or ground.colour != colour):
            is_noisy = ground is not None and ground.is_noisy
            shown = is_near(colour, sprite.colours.visible, NOISE if is_noisy else 1)
            if shown.any():
                found[sprite.name] = Ground(colour, is_noisy=is_noisy)
    return found
