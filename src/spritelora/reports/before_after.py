"""What was changed about sprites, each shown before and after."""

from dataclasses import dataclass

from spritelora.reports.page import Picture, make_picture
from spritelora.sprites.pixels.image import Pixels

SIDE_PX = 96


@dataclass(frozen=True)
class Change:
    """A sprite before and after a change, and what was done."""

    name: str
    before: Picture
    after: Picture
    what: str


def show_change(name: str, before: Pixels, after: Pixels, what: str) -> Change:
    """A change to be shown. `before`, `after`: (H, W, 3 or 4), native."""
    return Change(name, make_picture(before, SIDE_PX, "before"), make_picture(after, SIDE_PX, "after"), what)
