"""The treatment of a training set's images that prepare did not write, and what a run's record says of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spritelora.sprites.backgrounds.candidate import Candidate, Cutting
from spritelora.sprites.backgrounds.ground import Ground
from spritelora.sprites.backgrounds.set_grounds import SetGrounds, settle_grounds
from spritelora.sprites.backgrounds.treatment import HalfTransparent
from spritelora.sprites.pixels.image import hex_colour, parse_colour

HOLES, NOISY = "holes", "noisy"


@dataclass(frozen=True)
class Originals:
    """The treatment of originals. `grounds`: those of a run's record, by name, None to find them.

    `include`: names and patterns of images that are taken whatever their size.
    """

    cutting: Cutting = Cutting(is_auto=False)  # noqa: RUF009 (frozen)
    half_transparent: HalfTransparent = HalfTransparent.blend
    grounds: Mapping[str, Ground] | None = None
    include: Sequence[str] = ("*",)

    def settle(self, sprites: Sequence[Candidate]) -> SetGrounds:
        """The grounds that a set loses: as recorded, else as they are found."""
        if self.grounds is not None:
            return SetGrounds(dict(self.grounds), [])
        return settle_grounds(sprites, self.cutting, "data.")

    def of_set(self, name: str) -> "Originals":
        """The same for one of several sets, whose sprites a record knows by names that begin with the set's."""
        if self.grounds is None:
            return self
        own = {n.removeprefix(f"{name}/"): g for n, g in self.grounds.items() if n.startswith(f"{name}/")}
        return dataclasses.replace(self, grounds=own)


AS_THEY_ARE = Originals()
"""Nothing is done to them."""


def to_record(grounds: Mapping[str, Ground]) -> dict[str, list[str]]:
    """Grounds as a run's record keeps them: the names of the sprites by colour and kind, `#ff00ff holes`."""
    told: dict[str, list[str]] = {}
    for name, ground in sorted(grounds.items()):
        words = [hex_colour(ground.colour), *([HOLES] if ground.holes else []), *([NOISY] if ground.is_noisy else [])]
        told.setdefault(" ".join(words), []).append(name)
    return told


def from_record(told: Mapping[str, Sequence[str]]) -> dict[str, Ground]:
    """The grounds by name that `to_record` told. Raises ValueError for a colour that is none."""
    grounds: dict[str, Ground] = {}
    for text, names in told.items():
        colour, *words = text.split()
        grounds |= dict.fromkeys(names, Ground(parse_colour(colour), HOLES in words, NOISY in words))
    return grounds
