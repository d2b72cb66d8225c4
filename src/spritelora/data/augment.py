"""Variants of a sprite that keep every native pixel: mirrored, moved by whole native pixels, turned by right angles."""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from spritelora.sprites.pixels.image import Pixels, exact_scale
from spritelora.sprites.split import choose_subset

CHOICE_SEED = 0
"""The variants of a sprite do not depend on the run's seed, so that runs share them in the cache."""

SIDES = {"left": "right", "right": "left", "east": "west", "west": "east"}

SIDE_WORD = re.compile(
    r"(?<![^\W_])"  # not within a word; an underscore separates words as a space does
    r"(?<!wild )(?<!old )(?<!far )(?<!middle )(?<!near )(?<!wild_)(?<!far_)"
    r"(?P<head>north|south)?(?P<side>left|right|east|west)"
    r"(?P<tail>wards?|most|hand(?:ed)?|side|facing|bound)?"
    r"(?![^\W_])(?![ _-](?:angled?|triangles?)\b)",
    re.IGNORECASE,
)

DIRECTION = re.compile(
    r"(?<![^\W_])(?!top[ _-]?down)(?<!top[ _-])"  # top-down is a view
    r"(?:left|right|up|down|top|bottom|upper|lower|above|below|north|south|(?:north|south)?(?:east|west)"
    r"|horizontal|vertical|standing|lying|upside)"
    r"(?:wards?|most|hand(?:ed)?|side|facing|bound|ly)?(?![^\W_])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Variant:
    """A view of a sprite: mirrored first, then turned clockwise by right angles, then moved.

    `right`, `down`: native pixels, negative to the left and up.
    """

    flip: bool = False
    turns: int = 0
    right: int = 0
    down: int = 0


@dataclass(frozen=True)
class Augmentation:
    """Which variants may be made. `shift`: the most native pixels. `variants`: the most of one sprite."""

    flip: bool = False
    shift: int = 0
    turn: bool = False
    variants: int = 16

    @property
    def is_on(self) -> bool:
        """Whether there is any variant besides the sprite itself."""
        return self.variants > 1 and (self.flip or self.turn or self.shift > 0)


def list_variants(
    image: Pixels,
    caption: str,
    matte: tuple[int, int, int],
    augmentation: Augmentation,
    stretched: tuple[int, int] | None = None,
) -> list[Variant]:
    """The variants of a sprite that differ from one another, the sprite itself first.

    `image`: on its matte, (H, W, 3). A sprite whose caption names a direction is not turned, and one on an oblong
    canvas by half a turn alone, so that all variants have one shape. Of more than `augmentation.variants` a seeded
    choice is taken. `stretched`: image pixels to a native one, x before y, where the two differ; otherwise they are
    found.
    """
    distinct: dict[Hashable, Variant] = {}
    for shown, variant in _candidates(image, caption, matte, augmentation, stretched):
        distinct.setdefault(shown, variant)
    first, *others = distinct.values()
    return [first, *choose_subset(others, augmentation.variants - 1, CHOICE_SEED)]


def show_variant(
    image: Pixels, variant: Variant, matte: tuple[int, int, int], stretched: tuple[int, int] | None = None
) -> Pixels:
    """A variant of an image (H, W, 3), which odd turns make (W, H, 3).

    Raises ValueError where the shift would push pixels out.
    """
    turned = _turn(image, variant)
    if not (variant.right or variant.down):
        return turned
    across, down = _steps(turned, variant, matte, stretched)
    return shift_inside(turned, variant.right * across, variant.down * down, matte)


def show_mask(
    mask: Pixels,
    image: Pixels,
    variant: Variant,
    matte: tuple[int, int, int],
    stretched: tuple[int, int] | None = None,
) -> Pixels:
    """The mask (H, W) of an image (H, W, 3), moved as `show_variant` moves the image."""
    across, down = _steps(_turn(image, variant), variant, matte, stretched)
    turned = _turn(mask[..., None], variant)[..., 0]
    return np.roll(turned, (variant.down * down, variant.right * across), axis=(0, 1))


def vary_caption(caption: str, variant: Variant) -> str:
    """The caption that is true of a variant."""
    return swap_sides(caption) if variant.flip else caption


def swap_sides(caption: str) -> str:
    """Left and right, east and west change places, as whole words and in compounds (leftward, southwest, right-hand).

    Capitals stay. Names that only sound like directions are left alone: right angle, wild west, far east.
    """
    return SIDE_WORD.sub(
        lambda m: f"{m['head'] or ''}{_with_capitals_of(m['side'], SIDES[m['side'].lower()])}{m['tail'] or ''}", caption
    )


def names_direction(caption: str) -> bool:
    """Whether a caption says where something is or points, so that it would be wrong of a turned sprite."""
    return DIRECTION.search(caption) is not None


def native_px(image: Pixels, matte: tuple[int, int, int]) -> int:
    """Image pixels to a native pixel of a sprite that stands on its matte."""
    rows, columns = _extent(image, matte)
    return exact_scale(image[rows, columns])


def free_room(image: Pixels, matte: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The rows and columns of plain matte to the left, right, above and below the sprite, in image pixels."""
    rows, columns = _extent(image, matte)
    return columns.start, image.shape[1] - columns.stop, rows.start, image.shape[0] - rows.stop


def shift_inside(image: Pixels, right: int, down: int, matte: tuple[int, int, int]) -> Pixels:
    """Move a sprite over its matte. Raises ValueError where pixels of it would leave the image."""
    room_left, room_right, room_above, room_below = free_room(image, matte)
    if not (-room_left <= right <= room_right and -room_above <= down <= room_below):
        raise ValueError(f"a shift by {right}, {down} px would cut the sprite")
    return np.roll(image, (down, right), axis=(0, 1))


def _candidates(
    image: Pixels,
    caption: str,
    matte: tuple[int, int, int],
    augmentation: Augmentation,
    stretched: tuple[int, int] | None,
) -> Iterator[tuple[Hashable, Variant]]:
    """Every variant that is allowed, the sprite itself first, each with what tells its picture and caption."""
    is_turned = augmentation.turn and not names_direction(caption)
    turns = range(0, 4, 1 if image.shape[0] == image.shape[1] else 2) if is_turned else range(1)
    for flip, turn in product((False, True) if augmentation.flip else (False,), turns):
        turned = _turn(image, Variant(flip, turn))
        rows, columns = _extent(turned, matte)
        sprite, steps = turned[rows, columns].tobytes(), _steps(turned, Variant(flip, turn), matte, stretched)
        words = vary_caption(caption, Variant(flip, turn))
        room = free_room(turned, matte)
        most = [
            min(augmentation.shift, px // step) for px, step in zip(room, np.repeat(steps, 2).tolist(), strict=True)
        ]
        moves = product(range(-most[0], most[1] + 1), range(-most[2], most[3] + 1))
        for right, down in sorted(moves, key=lambda move: (abs(move[0]) + abs(move[1]), move)):
            place = (columns.start + right * steps[0], rows.start + down * steps[1])
            yield (sprite, words, place), Variant(flip, turn, right, down)


def _steps(
    turned: Pixels, variant: Variant, matte: tuple[int, int, int], stretched: tuple[int, int] | None
) -> tuple[int, int]:
    """Image pixels to a native pixel of a turned image, x before y."""
    across, down = stretched or [native_px(turned, matte)] * 2
    return (down, across) if variant.turns % 2 else (across, down)


def _turn(image: Pixels, variant: Variant) -> Pixels:
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if variant.flip else image, -variant.turns))


def _extent(image: Pixels, matte: tuple[int, int, int]) -> tuple[slice, slice]:
    """Rows and columns of the sprite; all of them where there is only matte."""
    is_sprite = (image != np.array(matte, dtype=np.uint8)).any(axis=-1)
    rows, columns = np.flatnonzero(is_sprite.any(axis=1)), np.flatnonzero(is_sprite.any(axis=0))
    if not len(rows):
        return slice(0, image.shape[0]), slice(0, image.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _with_capitals_of(original: str, word: str) -> str:
    if original.isupper():
        return word.upper()
    return word.capitalize() if original[0].isupper() else word
