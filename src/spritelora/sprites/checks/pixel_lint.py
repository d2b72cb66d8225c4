"""Findings on the pixels of one image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.checks.mixels import find_coarse_part
from spritelora.sprites.checks.smoothing import lone_mixtures, small_steps, soft_borders
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.pixels.edges import Packed, distance, pack_colours
from spritelora.sprites.pixels.image import Pixels, visible_colours
from spritelora.sprites.pixels.native import NativeScale, cell_starts, to_native

SPRITE_PX = 128
"""An image with more native pixels than this along an axis, and no sign of having been drawn, is a photograph."""

MAX_COLOURS = 64
"""Drawn sprites have 4 to 32 colours; with more than 64 they are painted, blurred or of mixed origin."""

MIN_RUNS, MIN_CELLS = 24, 10
"""Runs of one colour that must lack single pixels, and native pixels along an axis, to speak of an enlargement."""

NOISE = 24
"""A JPEG moves colours by less than this within a native pixel; other detail moves them by more."""


Found = tuple[str, Severity, str]
"""Kind, severity and message of a finding, its file not yet named."""


@dataclass(frozen=True)
class View:
    """An image with what every check needs of it. `packed`: the native pixels as numbers, hidden colour as 0."""

    image: Pixels
    scale: NativeScale
    native: Pixels
    packed: Packed


def lint_image(name: str, image: Pixels, scale: NativeScale) -> list[Finding]:
    """All findings of one image, at most one of a kind. `image`: RGBA, (H, W, 4); `scale`: as `detect_scale` found."""
    native = to_native(image, scale)
    view = View(image, scale, native, pack_colours(native))
    if is_unreadable(view):
        kinds = [photograph(view), *half_transparent(view)]
    else:
        noise, uneven = jpeg_noise(view), uneven_scale(view)
        kinds = [found for found in (noise, uneven) if found]
        kinds += half_transparent(view)
        kinds += [] if noise else [*too_many_colours(view), *antialiased(view)]
        kinds += [] if uneven else mixels(view, noise is not None)
    return [Finding(kind, severity, name, message) for kind, severity, message in kinds]


def is_unreadable(view: View) -> bool:
    """Whether a large image has neither a scale nor the look of something drawn pixel by pixel."""
    return view.scale.factor == 1 and max(view.image.shape[:2]) > SPRITE_PX and view.scale.confidence < 0.5


def photograph(view: View) -> Found:
    """The finding `photograph`, or `uncertain_scale` where an image has too few colours to be one."""
    height, width = view.image.shape[:2]
    if len(visible_colours(view.native)) <= MAX_COLOURS:
        message = f"{width}x{height} px with too few edges to tell its native pixels: shrink it to them by hand"
        return "uncertain_scale", Severity.warning, message
    message = f"no native pixels in {width}x{height} px, a photograph or a painting: redraw it small, or remove it"
    return "photograph", Severity.warning, message


def half_transparent(view: View) -> Iterator[Found]:
    """The finding `half_transparent`: alpha that is neither 0 nor 255."""
    count = int(((view.native[..., 3] > 0) & (view.native[..., 3] < 255)).sum())
    if count:
        message = (
            f"{count} half-transparent pixel{'s' * (count > 1)} will be mixed with the background colour; "
            f"unless a shadow or a glow is meant, set alpha to 0 or 255"
        )
        yield "half_transparent", Severity.note, message


def too_many_colours(view: View) -> Iterator[Found]:
    """The finding `too_many_colours`."""
    count = len(visible_colours(view.native))
    if count > MAX_COLOURS:
        yield (
            "too_many_colours",
            Severity.warning,
            f"{count} colours, over {MAX_COLOURS}: reduce it to the set's palette",
        )


def uneven_scale(view: View) -> Found | None:
    """The finding `uncertain_scale`: nothing is as small as one pixel, yet no grid fits."""
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
    return "uncertain_scale", Severity.warning, message


def run_lengths(packed: Packed) -> NDArray[np.intp]:
    """Lengths of the runs of one colour along the rows, in pixels, without the runs at the image's border."""
    rows, columns = np.nonzero(packed[:, 1:] != packed[:, :-1])
    return np.diff(columns)[np.diff(rows) == 0]


def inner_differences(view: View) -> NDArray[np.int16]:
    """Distances of pixels within a native pixel to its colour, without its border; 1-D, in the largest channel."""
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
    return distance(seen, flat)[visible]


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


def antialiased(view: View) -> Iterator[Found]:
    """The finding `antialiased`: colours between those on both sides of an edge."""
    if view.scale.exact:
        soft, edges = lone_mixtures(view.native, view.packed)
        is_soft = soft >= 12 and soft >= 0.1 * edges
    else:
        soft, edges = soft_borders(view.image, view.native, view.scale)
        is_soft = soft >= 0.2 * edges and soft > 0
    if is_soft:
        message = (
            f"{soft} pixels along edges have colours in between (anti-aliasing): "
            f"export without smoothing, enlarge with nearest neighbour"
        )
        yield "antialiased", Severity.warning, message


def mixels(view: View, is_noisy: bool) -> Iterator[Found]:
    """The finding `mixels`: parts drawn in larger or smaller pixels than the rest, or off its grid."""
    advice = "redraw it on one grid"
    if not view.scale.exact:
        differences = inner_differences(view)
        share = float((differences > 2 * NOISE).mean()) if differences.size else 0.0
        if share > (0.02 if is_noisy else 0.0002):
            message = f"{share:.1%} of the native pixels' inside has finer detail or lies off their grid: {advice}"
            yield "mixels", Severity.warning, message
    elif not is_noisy and (part := find_coarse_part(view.packed)):
        message = (
            f"{part.side}x{part.side} native pixels at x {part.x}, y {part.y} are drawn in pixels "
            f"{part.factor} times as large as elsewhere: {advice}"
        )
        yield "mixels", Severity.warning, message
