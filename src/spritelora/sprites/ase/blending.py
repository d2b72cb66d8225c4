"""Layers mixed with what lies below them, by their mode and opacity.

Source: W3C, Compositing and Blending Level 1: source-over (5.1) and the modes of section 10, whose names the format
uses; addition, subtract and divide are the sum, difference and quotient, within 0 to 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.ase.binary import Pixels
from spritelora.sprites.ase.document import Mode

Colours = NDArray[np.float64]
"""RGB in 0 to 1, (..., 3)."""

OPAQUE = 255 * 255
"""The opacity of a layer times that of a cel where both are full."""

BLOCK_PIXELS = 1 << 18
"""Pixels that are mixed at once, so that memory stays small beside a large canvas."""


def blend(below: Pixels, above: Pixels, opacity: int, mode: Mode) -> None:
    """Lay RGBA pixels over others of the same shape, (H, W, 4), in place. `opacity`: 0 to 65025, that is 255 squared.

    Opaque and clear pixels of mode normal are exact; others are rounded to the nearest level.
    """
    rows = max(1, BLOCK_PIXELS // max(1, below.shape[1]))
    for top in range(0, below.shape[0], rows):
        part, source = below[top : top + rows], above[top : top + rows]
        alpha = source[..., 3] if opacity == OPAQUE else _scaled(source[..., 3], opacity)
        is_plain = alpha == 255 if mode is Mode.normal else np.zeros(alpha.shape, dtype=np.bool_)
        np.copyto(part.view(np.uint32), source.view(np.uint32), where=is_plain[..., None])
        is_mixed = (alpha > 0) & ~is_plain
        if is_mixed.any():
            part[is_mixed] = _mixed(part[is_mixed], source[is_mixed][:, :3], alpha[is_mixed], mode)


def _scaled(alpha: Pixels, opacity: int) -> Pixels:
    table = (np.arange(256, dtype=np.int64) * opacity + OPAQUE // 2) // OPAQUE
    return table.astype(np.uint8)[alpha]


def _mixed(below: Pixels, above: Pixels, alpha: Pixels, mode: Mode) -> Pixels:
    """Pixels, (N, 4), below others, (N, 3), of an alpha, (N,)."""
    cover = alpha[:, None].astype(np.int32)
    under, under_alpha = below[:, :3].astype(np.int32), below[:, 3:].astype(np.int32)
    weight, rest = cover * 255, under_alpha * (255 - cover)
    total = weight + rest
    if mode is Mode.normal:
        colour = (2 * (above * weight + under * rest) + total) // (2 * total)
    else:
        blended = MODES[mode](under / 255, above / 255) * 255
        source = (under_alpha * blended + (255 - under_alpha) * above.astype(np.int32)) / 255
        colour = (source * weight + under * rest) / total + 0.5
    return np.concatenate([colour, (total + 127) // 255], axis=-1).astype(np.uint8)


def _overlay(b: Colours, s: Colours) -> Colours:
    return _hard_light(s, b)


def _hard_light(b: Colours, s: Colours) -> Colours:
    return np.where(s <= 0.5, 2 * b * s, 1 - 2 * (1 - b) * (1 - s))


def _color_dodge(b: Colours, s: Colours) -> Colours:
    return np.where(b == 0, 0, np.minimum(1, b / np.maximum(1 - s, 1e-12)))


def _color_burn(b: Colours, s: Colours) -> Colours:
    return np.where(b == 1, 1, 1 - np.minimum(1, (1 - b) / np.maximum(s, 1e-12)))


def _soft_light(b: Colours, s: Colours) -> Colours:
    root = np.where(b <= 0.25, ((16 * b - 12) * b + 4) * b, np.sqrt(b))
    return np.where(s <= 0.5, b - (1 - 2 * s) * b * (1 - b), b + (2 * s - 1) * (root - b))


def _divide(b: Colours, s: Colours) -> Colours:
    return np.where(b == 0, 0, np.minimum(1, b / np.maximum(s, 1e-12)))


def _luminosity(c: Colours) -> Colours:
    return c @ np.array([[0.3], [0.59], [0.11]])


def _with_luminosity(c: Colours, luminosity: Colours) -> Colours:
    """A colour moved to a luminosity, then towards its grey until it lies within 0 to 1."""
    c = c + (luminosity - _luminosity(c))
    low, high = c.min(axis=-1, keepdims=True), c.max(axis=-1, keepdims=True)
    c = np.where(low < 0, luminosity + (c - luminosity) * luminosity / np.maximum(luminosity - low, 1e-12), c)
    over = np.maximum(high - luminosity, 1e-12)
    return np.where(high > 1, luminosity + (c - luminosity) * (1 - luminosity) / over, c).clip(0, 1)


def _saturation(c: Colours) -> Colours:
    return c.max(axis=-1, keepdims=True) - c.min(axis=-1, keepdims=True)


def _with_saturation(c: Colours, saturation: Colours) -> Colours:
    low, spread = c.min(axis=-1, keepdims=True), _saturation(c)
    return np.where(spread > 0, (c - low) * saturation / np.maximum(spread, 1e-12), 0)


MODES: dict[Mode, Callable[[Colours, Colours], Colours]] = {
    Mode.multiply: lambda b, s: b * s,
    Mode.screen: lambda b, s: b + s - b * s,
    Mode.overlay: _overlay,
    Mode.darken: np.minimum,
    Mode.lighten: np.maximum,
    Mode.color_dodge: _color_dodge,
    Mode.color_burn: _color_burn,
    Mode.hard_light: _hard_light,
    Mode.soft_light: _soft_light,
    Mode.difference: lambda b, s: abs(b - s),
    Mode.exclusion: lambda b, s: b + s - 2 * b * s,
    Mode.hue: lambda b, s: _with_luminosity(_with_saturation(s, _saturation(b)), _luminosity(b)),
    Mode.saturation: lambda b, s: _with_luminosity(_with_saturation(b, _saturation(s)), _luminosity(b)),
    Mode.color: lambda b, s: _with_luminosity(s, _luminosity(b)),
    Mode.luminosity: lambda b, s: _with_luminosity(b, _luminosity(s)),
    Mode.addition: lambda b, s: np.minimum(1, b + s),
    Mode.subtract: lambda b, s: np.maximum(0, b - s),
    Mode.divide: _divide,
}
"""B(Cb, Cs): the colour below, and that of the layer."""
