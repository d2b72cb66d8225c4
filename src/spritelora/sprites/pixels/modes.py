"""Pixels of every mode that Pillow opens as RGBA of 8 bits; what Pillow clips, drops or mistakes in PNGs is put right.

Source: PNG specification, 11.3.1.1 (tRNS: samples of the file's own depth) and 13.12 (sample depth rescaling).
"""

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

Pixels = NDArray[np.uint8]

KEY_STEPS = {"L;2": (0b11, 85), "L;4": (0b1111, 17), "L": (255, 1), "RGB": (255, 1)}
"""Of a PNG's raw mode: the bits of a sample that count, and what Pillow multiplies it by."""

DEEP = {
    "RGB;16B": ("RGB;16B", "RGB;16L"),
    "RGBA;16B": ("RGBA;16B", "RGBA;16L"),
    "LA;16B": ("RGBA",),
}
"""Raw modes of 16 bits whose low bytes Pillow drops, and those by which it reads all: high bytes, then low ones."""

ROUTES = {
    "La": ("LA", "RGBA"), "RGBX": ("RGB", "RGBA"), "CMYK": ("RGB", "RGBA"), "YCbCr": ("RGB", "RGBA"),
    "HSV": ("RGB", "RGBA"), "1": ("RGBA",), "L": ("RGBA",), "LA": ("RGBA",), "P": ("RGBA",), "PA": ("RGBA",),
    "RGB": ("RGBA",), "RGBA": ("RGBA",), "RGBa": ("RGBA",),
}  # fmt: skip
"""By which modes Pillow brings a mode to RGBA; what is not here it clips or garbles."""


def to_rgba(image: Image.Image) -> Pixels:
    """A loaded image as RGBA, (H, W, 4); 16-bit grey is scaled, not clipped. Raises ValueError for other modes."""
    if image.mode.startswith("I"):
        return _deep_grey(image)
    if image.mode not in ROUTES:
        raise ValueError(f"pixels of mode {image.mode}, which have no exact colour in RGB; export as RGBA of 8 bits")
    for mode in ROUTES[image.mode]:
        image = image.convert(mode)
    return np.asarray(image)


def raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of a PNG's samples in its file; empty once it is loaded."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return str(tiles[0][3]) if tiles else ""


def settle_colour_key(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG not yet loaded to the samples that Pillow will give its pixels."""
    key = image.info.get("transparency")
    if image.mode in ("L", "RGB") and key is not None and (steps := KEY_STEPS.get(raw_mode(image))):
        mask, step = steps
        samples = cast("tuple[int, ...]", key if isinstance(key, tuple) else (key,))
        scaled = [(sample & mask) * step for sample in samples]
        image.info["transparency"] = tuple(scaled) if len(scaled) > 1 else scaled[0]


def is_deep(image: Image.Image) -> bool:
    """Whether a PNG not yet loaded has colours, or grey with alpha, of 16 bits."""
    return image.format == "PNG" and raw_mode(image) in DEEP


def read_deep(file: Path) -> Pixels:
    """A PNG for which `is_deep` holds, each sample rounded to 8 bits and turned as its EXIF says: RGBA, (H, W, 4)."""
    halves: list[NDArray[np.uint16]] = []
    info = {}
    with Image.open(file, formats=("PNG",)) as opened:
        raws, has_grey = DEEP[raw_mode(opened)], raw_mode(opened).startswith("LA")
    for raw in raws:
        with Image.open(file, formats=("PNG",)) as image:
            image.tile = [image.tile[0]._replace(args=raw)]
            image.load()
            halves.append(np.asarray(image).astype(np.uint16))
            info = image.info
    if has_grey:  # two samples of two bytes are read as four of one
        (both,) = halves
        grey, alpha = (both[..., i] << 8 | both[..., i + 1] for i in (0, 2))
        samples = np.dstack([grey, grey, grey, alpha])
    else:
        samples = halves[0] << 8 | halves[1]
    if samples.shape[2] == 3:
        key = info.get("transparency")
        hidden = np.zeros(samples.shape[:2], np.bool_) if key is None else (samples == key).all(axis=-1)
        samples = np.dstack([samples, np.where(hidden, 0, 65_535)])
    upright = Image.fromarray(_to_8_bits(samples))
    upright.info = {name: value for name, value in info.items() if name != "transparency"}
    return np.asarray(ImageOps.exif_transpose(upright))


def _deep_grey(image: Image.Image) -> Pixels:
    samples = np.asarray(image).astype(np.int64)
    if samples.size and not 0 <= samples.min() <= samples.max() <= 65_535:
        raise ValueError(f"grey from {samples.min()} to {samples.max()}, not 0 to 65535; export as 8 or 16 bits")
    grey = _to_8_bits(samples)
    hidden = samples == image.info.get("transparency", -1)
    return np.dstack([grey, grey, grey, np.where(hidden, 0, 255).astype(np.uint8)])


def _to_8_bits(samples: NDArray[np.integer]) -> Pixels:
    """Samples of 16 bits to the nearest of 8."""
    return ((samples.astype(np.int64) + 128) // 257).astype(np.uint8)
