"""The wish for backgrounds, and what one sprite of a set shows of its own."""

from dataclasses import dataclass

import numpy as np

from spritelora.sprites.backgrounds.ground import Colour, Standing, cut_ground, find_standing
from spritelora.sprites.pixels.image import Pixels, pack_rgb, parse_colour
from spritelora.sprites.pixels.matte import SpriteColours, sprite_colours


@dataclass(frozen=True)
class Cutting:
    """The wish for grounds. `colour`: the one to cut out, None to have them judged, where `is_auto`, or left.

    `holes`: also where a figure encloses the colour.
    """

    is_auto: bool = True
    colour: Colour | None = None
    holes: bool = False

    @property
    def is_on(self) -> bool:
        """Whether a ground may be cut out at all."""
        return self.is_auto or self.colour is not None


def parse_cutting(text: str, holes: bool) -> Cutting:
    """A wish as typed: auto, keep or #rrggbb. Raises ValueError for anything else."""
    if text in ("auto", "keep"):
        return Cutting(text == "auto", None, holes)
    try:
        return Cutting(False, parse_colour(text), holes)
    except ValueError as error:
        raise ValueError(f"{error}; or auto (plain grounds are cut out), or keep (none is)") from error


@dataclass(frozen=True)
class Candidate:
    """A sprite that may stand on a ground. `colours`: with it, `figure`: without it, where it was found."""

    name: str
    is_opaque: bool
    colours: SpriteColours
    standing: Standing | None = None
    figure: SpriteColours | None = None


def find_candidate(
    name: str, native: Pixels, colours: SpriteColours, wish: Cutting, is_soft: bool = False
) -> Candidate:
    """What a native sprite (H, W, 4) shows of its ground. `is_soft`: its pixels are medians, not flat colours."""
    is_opaque = bool((native[..., 3] == 255).all())
    standing = find_standing(native, is_soft, wish.colour) if wish.is_on and is_opaque else None
    figure = None if standing is None else sprite_colours(cut_ground(native, standing.ground))
    return Candidate(name, is_opaque, colours, standing, figure)


def packed(colour: Colour) -> np.uint32:
    """A colour as 0xRRGGBB."""
    return np.uint32(pack_rgb(np.array(colour, dtype=np.uint8)))
