"""What is wrong with the pixels of one image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.edges import pack_colours
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.image import Pixels, visible_colours
from spritelora.sprites.mixels import find_coarse_part
from spritelora.sprites.native import NativeScale, cell_starts, to_native

SPRITE_PX = 128
"""An image with more native pixels than this along an axis, and no sign of having been drawn, is a photograph."""

MAX_COLOURS = 64

MIN_RUNS, MIN_CELLS = 24, 10
"""Runs of one colour that must lack single pixels, and native pixels along an axis, to speak of an enlargement."""

CONTRAST = 48
"""Colours this far apart, in the largest channel, make an edge that can be softened."""

NOISE = 24
"""A JPEG moves colours by less than this within a native pixel; other detail moves them by more."""


@dataclass(frozen=True)
class View:
    """An image with what every check needs of it. `packed`: the native pixels as numbers, hidden colour as 0."""

    image: Pixels
    scale: NativeScale
    native: Pixels
    packed: NDArray[np.uint32]


def lint_image(name: str, image: Pixels, scale: NativeScale) -> list[Finding]:
    """All findings of one image, at most one of a kind. `image`: RGBA, (H, W, 4); `scale`: as `detect_scale` found."""
    native = to_native(image, scale)
    view = View(image, scale, native, pack_colours(native))
    if is_photograph(view):
        kinds = [photograph(view), *half_transparent(view)]
    else:
        noise, uneven = jpeg_noise(view), uneven_scale(view)
        kinds = [found for found in (noise, uneven) if found]
        kinds += half_transparent(view)
        kinds += [] if noise else [*too_many_colours(view), *antialiased(view)]
        kinds += [] if uneven else mixels(view, noise is not None)
    return [Finding(kind, severity, name, message) for kind, severity, message in kinds]


Found = tuple[str, Severity, str]


def is_photograph(view: View) -> bool:
    """Whether a large image has neither a scale nor the look of something drawn pixel by pixel."""
    return view.scale.factor == 1 and max(view.image.shape[:2]) > SPRITE_PX and view.scale.confidence < 0.5


def photograph(view: View) -> Found:
    """The finding `photograph`."""
    height, width = view.image.shape[:2]
    message = (
        f"no native pixels found in {width}x{height} px: a photograph or a painting? Shrink it by hand or remove it"
    )
    return "photograph", Severity.error, message


def half_transparent(view: View) -> Iterator[Found]:
    """The finding `half-transparent`: alpha that is neither 0 nor 255."""
    count = int(((view.native[..., 3] > 0) & (view.native[..., 3] < 255)).sum())
    if count:
        message = (
            f"{count} native pixels are half transparent; the matte's colour will show through: set alpha to 0 or 255"
        )
        yield "half-transparent", Severity.warning, message


def too_many_colours(view: View) -> Iterator[Found]:
    """The finding `too-many-colours`."""
    count = len(visible_colours(view.native))
    if count > MAX_COLOURS:
        yield (
            "too-many-colours",
            Severity.warning,
            f"{count} colours, over {MAX_COLOURS}: reduce it to the set's palette",
        )


def uneven_scale(view: View) -> Found | None:
    """The finding `uncertain-scale`: nothing is as small as one pixel, yet no grid fits."""
    lengths = np.concatenate([run_lengths(view.packed), run_lengths(view.packed.T)])
    if view.scale.factor > 1 or len(lengths) < MIN_RUNS:
        return None
    smallest = int(lengths.min())
    if smallest < 2 or min(view.packed.shape) < MIN_CELLS * smallest:
        return None
    message = (
        f"looks enlarged by a factor that is no whole number: its smallest detail is {smallest} px, and detail differs "
        f"in size; find the original"
    )
    return "uncertain-scale", Severity.warning, message


def run_lengths(packed: NDArray[np.uint32]) -> NDArray[np.intp]:
    """How many pixels of one colour follow each other along the rows, runs at the image's border left out."""
    rows, columns = np.nonzero(packed[:, 1:] != packed[:, :-1])
    return np.diff(columns)[np.diff(rows) == 0]


def inner_differences(view: View) -> NDArray[np.int16]:
    """How far pixels within a native pixel are from its colour, its border left out; 1-D, in the largest channel."""
    factor, margin = view.scale.factor, max(1, view.scale.factor // 4)
    axes: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    for length, offset in zip(view.image.shape[1::-1], view.scale.offset, strict=True):
        starts = cell_starts(length, factor, offset)
        whole = np.flatnonzero((starts >= 0) & (starts + factor <= length))
        inner = (starts[whole][:, None] + np.arange(margin, factor - margin)).ravel()
        axes.append((inner, np.repeat(whole, factor - 2 * margin)))
    (x, column), (y, row) = axes
    seen, flat = view.image[y[:, None], x], view.native[row[:, None], column]
    visible = (seen[..., 3] > 0) & (flat[..., 3] > 0)
    return np.abs(seen[..., :3].astype(np.int16) - flat[..., :3]).max(axis=2)[visible]


def jpeg_noise(view: View) -> Found | None:
    """The finding `jpeg`: small differences where there should be one flat colour."""
    if view.scale.exact:
        share = small_steps(view.native) if len(visible_colours(view.native)) > 2 * MAX_COLOURS else 0.0
        limit = 0.6
    else:
        differences = inner_differences(view)
        share = float(((differences > 1) & (differences < NOISE)).mean()) if differences.size else 0.0
        limit = 0.1
    if share <= limit:
        return None
    message = f"compression noise in {share:.0%} of what should be flat colour (JPEG?): use a lossless original"
    return "jpeg", Severity.warning, message


def small_steps(native: Pixels) -> float:
    """Of all opaque neighbours of nearly one colour, the share that is not exactly of one colour."""
    colour, solid = native[..., :3].astype(np.int16), native[..., 3] == 255
    steps: list[NDArray[np.int16]] = []
    for now, before in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        step = np.abs(colour[now] - colour[before]).max(axis=2)
        steps.append(step[solid[now] & solid[before]])
    near = np.concatenate(steps)
    near = near[near <= 8]
    return float((near > 0).mean()) if near.size else 0.0


def antialiased(view: View) -> Iterator[Found]:
    """The finding `antialiased`: colours between those on both sides of an edge."""
    if view.scale.exact:
        soft, edges = lone_mixtures(view.native, view.packed)
        is_soft = soft >= 12 and soft >= 0.1 * edges
    else:
        soft, edges = soft_borders(view)
        is_soft = soft >= 0.2 * edges and soft > 0
    if is_soft:
        message = (
            f"{soft} pixels along edges have colours in between (anti-aliasing): "
            f"export without smoothing, enlarge with nearest neighbour"
        )
        yield "antialiased", Severity.warning, message


def is_between(first: NDArray[np.int16], middle: NDArray[np.int16], last: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Where a colour is a mixture of two others that contrast. All: (..., 3)."""
    way, part = (last - first).astype(np.float32), (middle - first).astype(np.float32)
    share = (way * part).sum(axis=-1) / np.maximum((way * way).sum(axis=-1), 1)
    off = np.abs(part - share[..., None] * way).max(axis=-1)
    return (np.abs(way).max(axis=-1) >= CONTRAST) & (share > 0.15) & (share < 0.85) & (off <= 10)


def lone_mixtures(native: Pixels, packed: NDArray[np.uint32]) -> tuple[int, int]:
    """How many opaque pixels mix their two neighbours in a colour used at most twice, and how many edges there are.

    A shading ramp lies between its neighbours too, but an artist uses its colours again and again.
    """
    _, index, counts = np.unique(packed, return_inverse=True, return_counts=True)
    lone = (counts[index] <= 2).reshape(packed.shape) & (native[..., 3] == 255)
    colour, solid = native[..., :3].astype(np.int16), native[..., 3] == 255
    mixed, edges = np.zeros(packed.shape, dtype=bool), 0
    for pixels, own, rare, opaque in (
        (colour, mixed, lone, solid),
        (colour.swapaxes(0, 1), mixed.T, lone.T, solid.T),
    ):
        found = is_between(pixels[:-2], pixels[1:-1], pixels[2:])
        own[1:-1] |= found & rare[1:-1] & opaque[:-2] & opaque[2:]
        edges += int((np.abs(pixels[1:] - pixels[:-1]).max(axis=2) >= CONTRAST // 2).sum())
    return int(mixed.sum()), edges


def soft_borders(view: View) -> tuple[int, int]:
    """How many places where two contrasting native pixels meet have a mixture beside them, and how many there are.

    Counted along rows and along columns.
    """
    (x, y), factor = view.scale.offset, view.scale.factor
    along_rows = soft_columns(view.image, view.native, (x, y), factor)
    along_columns = soft_columns(view.image.swapaxes(0, 1), view.native.swapaxes(0, 1), (y, x), factor)
    return along_rows[0] + along_columns[0], along_rows[1] + along_columns[1]


def soft_columns(image: Pixels, native: Pixels, offset: tuple[int, int], factor: int) -> tuple[int, int]:
    """`soft_borders` along the rows only."""
    borders = cell_starts(image.shape[1], factor, offset[0])[1:]
    rows = (np.arange(image.shape[0]) - offset[1]) // factor + (1 if offset[1] else 0)
    left, right = native[rows, :-1].astype(np.int16), native[rows, 1:].astype(np.int16)
    meet = (left[..., 3] == 255) & (right[..., 3] == 255)
    meet &= np.abs(left - right)[..., :3].max(axis=2) >= CONTRAST
    left, right = left[meet][:, :3], right[meet][:, :3]
    before, after = (image[:, borders + shift, :3][meet].astype(np.int16) for shift in (-1, 0))
    soft = is_between(left, before, right) | is_between(left, after, right)
    return int(soft.sum()), int(meet.sum())


def mixels(view: View, is_noisy: bool) -> Iterator[Found]:
    """The finding `mixels`: parts drawn in larger or smaller pixels than the rest, or off its grid."""
    advice = "redraw it on one grid"
    if not view.scale.exact:
        share = float((inner_differences(view) > 2 * NOISE).mean())
        if share > (0.02 if is_noisy else 0.0005):
            message = f"{share:.1%} of the native pixels' inside has finer detail or lies off their grid: {advice}"
            yield "mixels", Severity.warning, message
    elif not is_noisy and (part := find_coarse_part(view.packed)):
        message = (
            f"{part.side}x{part.side} native pixels at x {part.x}, y {part.y} are drawn in pixels "
            f"{part.factor} times as large as elsewhere: {advice}"
        )
        yield "mixels", Severity.warning, message
