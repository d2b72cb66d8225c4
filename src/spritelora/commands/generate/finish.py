"""From a snapped image to a game sprite: background cleared, colours locked to a palette."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spritelora.commands.generate.palette_file import Colours
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.outline import Mask, flood_border
from spritelora.sprites.pixels.palette import count_colours, to_oklab

Colour = tuple[int, int, int]

NEAR = 0.05
"""OKLab distance within which a pixel may be background: what a decoder's noise moves a flat colour by."""

SAME = 0.02
"""Within this two colours pass for one. Source: CSS Color 4, section 13.2, deltaEOK's JND."""

DRIFT = 0.15
"""OKLab distance of a drawn ground from the matte it was learnt from: up to 0.09 after 60 steps on real sprites."""

TIE = 1e-9
"""Distances this close are equal: a matrix product rounds one colour in another way in another batch."""

MOST_INDEXED = 255
"""Colours of an indexed PNG besides the transparent one."""

AT_ONCE = 2_000_000
ROUNDS = 20


def border_colour(native: Pixels) -> Colour | None:
    """The colour of the background as the border shows it; None where less than half of the border is of one.

    `native`: (h, w, 3).
    """
    plain = _plain_border(native)
    if plain is None:
        return None
    colours, counts = count_colours(plain)
    red, green, blue = colours[counts.argmax()].tolist()
    return red, green, blue


def drawn_matte(native: Pixels, matte: Colour, palette: Colours | None) -> Colour:
    """The matte as an image has it: the middle of a plain border within `DRIFT` of it, else the matte itself.

    A LoRA in training draws its flat ground a little lighter or darker than the set's. A border in a colour of the
    palette (K, 3), of figures beside the matte, is a figure that fills the image. `native`: (h, w, 3).
    """
    plain = _plain_border(native)
    if plain is None:
        return matte
    middle = np.median(plain, axis=0).astype(np.uint8)
    is_far = _distance(middle, np.array([matte], dtype=np.uint8)) > DRIFT
    if is_far or (palette is not None and len(palette) and _distance(middle, palette) <= SAME):
        return matte
    red, green, blue = middle.tolist()
    return red, green, blue


def _plain_border(native: Pixels) -> Pixels | None:
    """The pixels of the border (N, 3) that are near its median colour; None where they are less than half of it."""
    border = np.concatenate([native[0], native[-1], native[1:-1, 0], native[1:-1, -1]])
    is_near = _distance(border, np.median(border, axis=0).astype(np.uint8)[None]) <= 2 * NEAR
    return None if is_near.mean() < 0.5 else border[is_near]


def find_background(native: Pixels, matte: Colour, palette: Colours | None, opens_holes: bool) -> Mask:
    """The pixels of a native image (h, w, 3) that are background.

    A pixel may be background where it is within `NEAR` of the matte and, given a palette (K, 3) of figures beside it,
    no farther from it than from the palette. Those joined to the border by their sides are. Of those enclosed by the
    sprite, with `opens_holes`, the ones that pass for the matte (`SAME`) and are nearer to it than to the palette: a
    matte that no sprite of the set has shows there only through a hole.
    """
    under = _distance(native, np.array([matte], dtype=np.uint8))
    others = _distance(native, palette) if palette is not None else np.full(under.shape, np.inf)
    background = flood_border((under <= NEAR) & (under <= others + TIE))
    return background | ((under <= SAME) & (under < others - TIE)) if opens_holes else background


def clear_background(native: Pixels, background: Mask) -> Pixels:
    """An RGB image (h, w, 3) as RGBA: opaque, but for a background of transparent black."""
    alpha = np.where(background, 0, 255).astype(np.uint8)[..., None]
    return np.concatenate([native, alpha], axis=-1) * (alpha > 0)


def lock_palette(sprite: Pixels, palette: Colours) -> Pixels:
    """An RGBA sprite (h, w, 4) with each visible pixel in the palette's nearest colour in OKLab."""
    locked, seen = sprite.copy(), sprite[..., 3] > 0
    if seen.any():
        locked[seen, :3] = palette[_nearest(sprite[seen][:, :3], palette)[0]]
    return locked


def lock_colours(sprites: Sequence[Pixels], palette: Colours | None, most: int | None) -> list[Pixels]:
    """RGBA sprites in the colours of a palette, and of those in at most so many, all together. None: in any."""
    locked = list(sprites) if palette is None else [lock_palette(sprite, palette) for sprite in sprites]
    if most is None:
        return locked
    chosen = choose_palette(locked, most)
    return [lock_palette(sprite, chosen) for sprite in locked]


def colours_of(sprites: Sequence[Pixels]) -> Colours:
    """The distinct visible colours of RGBA sprites, (K, 3)."""
    return count_colours(np.concatenate([sprite[sprite[..., 3] > 0][:, :3] for sprite in sprites]))[0]


def count_changes(before: Sequence[Pixels], after: Sequence[Pixels]) -> tuple[int, int, int]:
    """Of RGBA sprites the visible pixels, those of another colour after than before, and those visibly so."""
    pairs = [(b[seen][:, :3], a[seen][:, :3]) for b, a in zip(before, after, strict=True) for seen in [b[..., 3] > 0]]
    old, new = (np.concatenate(part) for part in zip(*pairs, strict=True))
    distances = np.linalg.norm(to_oklab(old) - to_oklab(new), axis=-1)
    return len(old), int((old != new).any(axis=-1).sum()), int((distances > SAME).sum())


def choose_palette(sprites: Sequence[Pixels], num_colours: int) -> Colours:
    """At most `num_colours` of the visible colours of RGBA sprites, that stand for all: all where they are so few.

    k-medoids in OKLab, weighted by use, from the most used colour and then always the worst served one.
    """
    pixels = np.concatenate([sprite[sprite[..., 3] > 0][:, :3] for sprite in sprites])
    if not len(pixels):
        return np.zeros((1, 3), dtype=np.uint8)
    colours, counts = count_colours(pixels)
    if len(colours) <= num_colours:
        return colours
    lab = to_oklab(colours)
    chosen = [int(counts.argmax())]
    distance = np.linalg.norm(lab - lab[chosen[0]], axis=1)
    while len(chosen) < num_colours:
        chosen.append(int((distance**2 * counts).argmax()))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    for _ in range(ROUNDS):
        nearest = _nearest(colours, colours[chosen])[0]
        moved = [_medoid(lab, counts, np.flatnonzero(nearest == k), old) for k, old in enumerate(chosen)]
        if moved == chosen:
            break
        chosen = moved
    return colours[sorted(chosen)]


def _medoid(lab: NDArray[np.float64], counts: NDArray[np.int64], members: NDArray[np.intp], old: int) -> int:
    """The member nearest to the weighted mean of a cluster; what it was where it has none."""
    if not len(members):
        return old
    mean = np.average(lab[members], axis=0, weights=counts[members])
    return int(members[np.linalg.norm(lab[members] - mean, axis=1).argmin()])


def _distance(pixels: Pixels, palette: Colours) -> NDArray[np.float64]:
    return _nearest(pixels, palette)[1]


def _nearest(pixels: Pixels, palette: Colours) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For pixels (..., 3) the number of the nearest colour of a palette (K, 3) and its OKLab distance, (...) each.

    In float64 throughout: the nearest colours of 8 bits differ by less than float32 tells apart in squares.
    """
    known, flat = to_oklab(palette), to_oklab(pixels.reshape(-1, 3))
    found = [
        np.linalg.norm(part[:, None] - known, axis=-1)
        for part in np.array_split(flat, max(1, len(flat) * len(known) // AT_ONCE))
    ]
    shape = pixels.shape[:-1]
    places = np.concatenate([each.argmin(axis=1) for each in found])
    return places.reshape(shape), np.concatenate([each.min(axis=1) for each in found]).reshape(shape)
