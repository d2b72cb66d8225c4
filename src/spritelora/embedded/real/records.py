"""The sprites that the base learns from: what is known of each, and whether training may see it."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.drawn.drawn_sprite import held_out_pairs

Pixels = NDArray[np.uint8]

NUM_FOLDS = 10
"""One subject in so many is held out."""

HELD_OUT_RECOLOURS = 20
"""One pair of a subject and another colour than its own in so many is never shown."""


@dataclass(frozen=True)
class Record:
    """A sprite: the parts its captions are made of, in the words of its pack.

    `subject`: what all views and frames of one thing share. `group`: the folder that it comes from. `kinds`: broader
    words (`monster`, `undead`). `hand`: the word for the pack's style. `layer`: of a part of a character, else empty.
    `shape`: height and width of its visible pixels. `colours`: found in the pixels, most first.
    """

    subject: str
    group: str
    name: str
    kinds: tuple[str, ...]
    view: str
    pose: str
    hand: str
    layer: str
    shape: tuple[int, int]
    colours: tuple[str, ...]
    is_opaque: bool
    is_held_out: bool


@dataclass(frozen=True)
class PackedSet:
    """Records and where their pixels are. `pixels`: (num_pixels, 4); `starts`: of each record's first pixel."""

    records: list[Record]
    pixels: Pixels
    starts: NDArray[np.int64]

    def sprite(self, number: int) -> Pixels:
        """The sprite of a record, (H, W, 4)."""
        height, width = self.records[number].shape
        start = self.starts[number]
        return self.pixels[start : start + height * width].reshape(height, width, 4)


def pack(records: list[Record], sprites: list[Pixels]) -> PackedSet:
    """A set in memory; `sprites` have the shapes that the records name."""
    sizes = [height * width for height, width in (record.shape for record in records)]
    starts = np.cumsum([0, *sizes])[:-1].astype(np.int64)
    return PackedSet(records, np.concatenate([sprite.reshape(-1, 4) for sprite in sprites]), starts)


def fold_of(text: str, num_folds: int) -> int:
    """A number in [0, num_folds) that depends on a text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") % num_folds


def shows_held_out_pair(name: str, kinds: tuple[str, ...], colours: tuple[str, ...]) -> bool:
    """Whether a sprite with this name and these colours, the main one and those named, is of a pair held out."""
    words = set(" ".join((name, *kinds)).split())
    return any(subject in words and (colour in words or colour in colours[:1]) for subject, colour in held_out_pairs())


def is_recolour_held_out(subject: str, colour: str) -> bool:
    """Whether a subject is never shown painted in another colour."""
    return fold_of(f"{subject} in {colour}", HELD_OUT_RECOLOURS) == 0
