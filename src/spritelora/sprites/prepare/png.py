"""Prepared images as bytes: palette PNGs of whole cells, written the same way every time."""

import io

import numpy as np
from PIL import Image

from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.placement import Fit, draw_on_canvas

COMPRESSION = 6
"""Of zlib, by measurement: docs/benchmarks.md."""

MOST_PALETTE_COLOURS = 256


def encode_image(native: Pixels, fit: Fit, matte: tuple[int, int, int]) -> bytes:
    """An RGB sprite (H, W, 3) on its canvas as a PNG: with a palette up to 256 colours, else RGB."""
    weights = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    packed = native.astype(np.uint32) @ weights
    under = int(np.array(matte, dtype=np.uint32) @ weights)
    palette = np.union1d(packed, np.array([under], dtype=np.uint32))
    if len(palette) > MOST_PALETTE_COLOURS:
        return _png(Image.fromarray(draw_on_canvas(native, fit, matte)))
    indices = np.searchsorted(palette, packed).astype(np.uint8)
    place = int(np.searchsorted(palette, under))
    image = Image.fromarray(draw_on_canvas(indices[..., None], fit, (place,))[..., 0])
    image.putpalette(np.stack([(palette >> s) & 255 for s in (16, 8, 0)], axis=-1).astype(np.uint8).tobytes())
    return _png(image)


def encode_mask(alpha: Pixels, fit: Fit) -> bytes | None:
    """The alpha of a sprite (H, W) on its canvas as a grey PNG, black bits where it has no halves; None if opaque."""
    canvas = draw_on_canvas(alpha[..., None], fit, (0,))[..., 0]
    if canvas.min() == 255:
        return None
    has_halves = bool(((alpha > 0) & (alpha < 255)).any())
    return _png(Image.fromarray(canvas if has_halves else canvas > 0))


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=COMPRESSION)
    return stream.getvalue()
