"""Fingerprints of native sprites, small enough to keep ten thousand of them."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.pixels.image import Pixels, exact_scale, without_hidden_colour

Codes = NDArray[np.uint32]
"""Pixels as one number each, (h, w)."""

SKETCH_SIZE = 16
SMALLEST_STRUCTURE_PX = 16
NUM_BINS = 256

MOST_RECOLOURED_PX = 256 * 256
"""The most pixels of a sprite that is looked for in other colours: the time grows with them."""

MIX = np.uint64(0x9E3779B97F4A7C15)
STEP = np.uint64(0xD6E8FEB86659FD93)
RUN_PX = 5
FEW_RUNS = 12
POWERS = np.array([pow(0xD6E8FEB86659FD93, i, 1 << 64) for i in range(RUN_PX)], np.uint64)
SALTS = np.random.default_rng(0).integers(1, 1 << 63, (2, SKETCH_SIZE, 1), dtype=np.uint64) | np.uint64(1)


@dataclass(frozen=True)
class Content:
    """A sprite without the plain border around it.

    `codes`: its pixels. `background`: what the border is made of, transparent or one colour; None where it has none
    or is all there is.
    `corner`: x and y on the canvas.
    """

    codes: Codes
    background: int | None
    corner: tuple[int, int]


@dataclass(frozen=True)
class Fingerprint:
    """Hashes of a native sprite, each equal where two sprites are the same in one more sense.

    `exact`: canvas and pixels. `content`: without the border. `mirrored`: content up to flips. `structure`: content
    up to flips and to a one-to-one change of colours, None where that says nothing. `sketch`: (16,), as many numbers
    are alike as short runs of pixels are. `bins`: (256,), a histogram of colours. `num_drawn`: pixels that are not
    background.
    """

    exact: bytes
    content: bytes
    mirrored: bytes
    structure: bytes | None
    sketch: NDArray[np.uint64]
    bins: NDArray[np.uint16]
    num_drawn: int


def fingerprint(sprite: Pixels) -> Fingerprint:
    """The hashes of a native RGBA sprite, (h, w, 4)."""
    content = content_of(sprite)
    mixed, is_drawn = _mix(content.codes), _is_drawn(content)
    return Fingerprint(
        exact=_digest(sprite.shape, without_hidden_colour(sprite)),
        content=_digest(content.codes.shape, content.codes),
        mirrored=min(_digest(flip.shape, np.ascontiguousarray(flip)) for flip in flips(content.codes)),
        structure=_structure(content),
        sketch=_sketch(mixed, is_drawn),
        bins=np.bincount((mixed[is_drawn] >> np.uint64(56)).astype(np.int64), minlength=NUM_BINS).astype(np.uint16),
        num_drawn=int(is_drawn.sum()),
    )


def recolour_hash(sprite: Pixels) -> bytes | None:
    """A hash that an RGBA sprite (h, w, 4) shares with itself in other colours, flipped or enlarged.

    None where that says nothing, or where it is too large for pixel art.
    """
    scale = exact_scale(sprite)
    native = sprite[::scale, ::scale]
    return _structure(content_of(native)) if native[..., 0].size <= MOST_RECOLOURED_PX else None


def content_of(sprite: Pixels) -> Content:
    """A native RGBA sprite (h, w, 4) as codes, cut to what stands on its transparent or one-coloured border."""
    codes = np.ascontiguousarray(without_hidden_colour(sprite)).view(np.uint32)[..., 0]
    corners = {int(codes[y, x]) for y in (0, -1) for x in (0, -1)}
    has_hole = not sprite[..., 3].all()
    background = 0 if has_hole else corners.pop() if len(corners) == 1 else None
    if background is None:
        return Content(codes, None, (0, 0))
    is_drawn = codes != background
    rows, columns = np.flatnonzero(is_drawn.any(axis=1)), np.flatnonzero(is_drawn.any(axis=0))
    if not len(rows):
        return Content(codes, None, (0, 0)) if background else Content(codes[:0, :0], background, (0, 0))
    top, left = int(rows[0]), int(columns[0])
    return Content(codes[top : rows[-1] + 1, left : columns[-1] + 1], background, (left, top))


def flips(grid: Codes) -> tuple[Codes, Codes, Codes, Codes]:
    """A grid as it is, mirrored across, mirrored down, and both."""
    return grid, grid[:, ::-1], grid[::-1], grid[::-1, ::-1]


def _digest(shape: tuple[int, ...], values: NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(values.tobytes(), digest_size=16, salt=np.array(shape[:2], np.int64).tobytes()).digest()


def _is_drawn(content: Content) -> NDArray[np.bool_]:
    if content.background is None:
        return np.ones(content.codes.shape, np.bool_)
    return content.codes != content.background


def _mix(codes: Codes) -> NDArray[np.uint64]:
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * MIX
    return (mixed ^ (mixed >> np.uint64(29))) * STEP


def _structure(content: Content) -> bytes | None:
    """A hash of where colours are equal, whatever they are, up to flips; None where that says nothing.

    Colours are numbered as they first appear, background as 0.
    """
    colours, labels = np.unique(content.codes, return_inverse=True)
    labels = labels.reshape(content.codes.shape)
    if len(colours) < 2 or labels.size < SMALLEST_STRUCTURE_PX:
        return None
    found: list[bytes] = []
    for flip in flips(labels.astype(np.uint32)):
        order = flip.ravel()
        first = np.empty(len(colours), np.int64)
        first[order[::-1]] = np.arange(len(order))[::-1]  # the last value written is the first place
        first[colours == content.background] = -1
        number = np.empty(len(colours), np.uint32)
        number[np.argsort(first)] = np.arange(len(colours), dtype=np.uint32)
        starts_with_background = np.uint32(0 if bool((colours == content.background).any()) else 1)
        found.append(_digest(flip.shape, number[flip] + starts_with_background))
    return min(found)


def _sketch(mixed: NDArray[np.uint64], is_drawn: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """The smallest hash of a short run of pixels under each of 16 orders: two sprites share them as they share runs.

    A run reads the same from both sides and does not know its place, so neither flips nor shifts matter; runs of
    fewer than two changes of colour, which all sprites have, count only where there is little else.
    """
    values = np.pad(np.where(is_drawn, mixed, np.uint64(0)), ((0, 0), (RUN_PX, RUN_PX)))
    width = values.shape[1] - RUN_PX + 1
    parts = [values[:, start : start + width] for start in range(RUN_PX)]
    forth, back = np.zeros_like(parts[0]), np.zeros_like(parts[0])
    for part, power, reverse in zip(parts, POWERS, POWERS[::-1], strict=True):
        forth += part * power
        back += part * reverse
    changes = sum(((a != b).astype(np.uint8) for a, b in pairwise(parts)), np.zeros(forth.shape, np.uint8))
    hashes = np.minimum(forth, back)
    telling = hashes[changes >= 2]
    hashes = telling if len(telling) >= FEW_RUNS else hashes[changes >= 1]
    if not len(hashes):
        return np.zeros(SKETCH_SIZE, np.uint64)
    ordered = (hashes ^ SALTS[0]) * SALTS[1]
    return (ordered ^ (ordered >> np.uint64(31))).min(axis=1)
