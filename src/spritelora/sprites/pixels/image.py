"""Image files as sprites: any mode read without loss, matte under alpha, whole-factor enlargement."""

import io
import math
import re
import stat
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.sprites.ase.binary import AseError
from spritelora.sprites.ase.pillow_file import FORMAT as ASEPRITE
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.modes import Pixels, is_deep, read_deep, settle_colour_key, to_rgba

LATENT_PX = 8
"""Image pixels to a latent cell of SDXL, and to a native pixel on the embedded base."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", ASEPRITE)
"""The formats that are decoded, and no others: Pillow would hand an EPS file to Ghostscript, whatever its name."""

EXTENSIONS = {
    ".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF",
    ".ase": ASEPRITE, ".aseprite": ASEPRITE,
}  # fmt: skip
MARKS = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM"),
    "GIF": re.compile(rb"GIF8[79]a"),
    ASEPRITE: re.compile(rb".{4}\xe0\xa5", re.DOTALL),
}
"""The first bytes of a file of each format."""


def read_sprite(file: Path, most: limits.Limit = limits.SPRITE_PIXELS) -> Pixels:
    """Read an image file, the first frame of an animated one.

    Returns RGBA, (H, W, 4); samples of other depths are scaled, not clipped. `most`: pixels it may have, more where it
    is known for a sheet. Raises DatasetError that names the file for anything that cannot be decoded whole, has no
    exact colour in RGB, or is over a limit.
    """
    with open_image(file, most) as image:
        if is_deep(image):
            return read_deep(file)
        image.load()
        return to_rgba(ImageOps.exif_transpose(image))


@contextmanager
def open_image(file: Path, most: limits.Limit = limits.SHEET_PIXELS) -> Generator[Image.Image, None, None]:
    """Open an image file of a stranger, by its content and not by its name.

    Raises DatasetError that names the file for what is no regular file, no image of `FORMATS`, damaged, or over a
    limit; also for what goes wrong while it is open.
    """
    try:
        _check_file(file)
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            with Image.open(file, formats=FORMATS) as image:
                _check_size(file, image.size, most)
                if image.format == "PNG":
                    image.verify()  # load() compares no checksum: a flipped bit would become other pixels
            with Image.open(file, formats=FORMATS) as image:
                if image.format == "PNG":
                    settle_colour_key(image)
                yield image
    except DatasetError:
        raise
    except AseError as error:
        raise DatasetError(f"{printable(file)}: {printable(error)}") from error
    except Image.DecompressionBombError as error:
        raise DatasetError(f"{printable(file)}: image bomb, not decoded ({error}); remove it") from error
    except Exception as error:  # decoders raise whatever a stranger's bytes lead them to
        if "MAX_TEXT" in str(error):
            raise DatasetError(f"{printable(file)}: a text or profile in it unpacks to over 1 MB; remove it") from error
        reason = str(error).replace(repr(str(file)), "").replace(str(file), "").strip() or type(error).__name__
        raise DatasetError(
            f"{printable(file)}: corrupt or not an image ({printable(reason)}); replace or remove it"
        ) from error


def _check_file(file: Path) -> None:
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DatasetError(f"{printable(file)}: corrupt or not an image (no regular file); remove it")
    if status.st_size == 0:
        raise DatasetError(f"{printable(file)}: empty file (0 bytes); replace or remove it")
    try:
        limits.IMAGE_BYTES.check(status.st_size)
    except ValueError as error:
        raise DatasetError(f"{printable(file)}: {error}") from error


def _check_size(file: Path, size: tuple[int, int], most: limits.Limit) -> None:
    width, height = size
    try:
        most.check(width * height, found=f"{width}x{height}")
        limits.SIDE_PX.check(max(size), found=f"{width}x{height}")
    except ValueError as error:
        raise DatasetError(f"{printable(file)}: {error}") from error


def disguise_of(file: Path) -> str | None:
    """The format a file's first bytes show where its extension says another, None where both agree or none shows."""
    try:
        with file.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        return None
    shown = next((name for name, mark in MARKS.items() if mark.match(head)), None)
    return shown if shown is not None and shown != EXTENSIONS.get(file.suffix.lower()) else None


def visible_colours(sprite: Pixels) -> NDArray[np.uint32]:
    """The distinct colours of pixels that are not fully transparent, packed as 0xRRGGBB, sorted."""
    return np.unique(pack_rgb(sprite)[sprite[..., 3] > 0])


def pack_rgb(image: Pixels) -> NDArray[np.uint32]:
    """The colours of pixels (..., 3) or (..., 4) as 0xRRGGBB, (...)."""
    red, green, blue = (image[..., channel].astype(np.uint32) for channel in range(3))
    return red << np.uint32(16) | green << np.uint32(8) | blue


def hex_colour(colour: Sequence[int]) -> str:
    """A colour as it is typed, `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def parse_colour(text: str) -> tuple[int, int, int]:
    """A colour written `#rrggbb`. Raises ValueError for anything else."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"a colour is written #rrggbb, got '{text}'")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def apply_matte(sprite: Pixels, matte: tuple[int, int, int]) -> Pixels:
    """Lay an RGBA sprite over an opaque colour; colour hidden under alpha 0 vanishes.

    Returns RGB, (H, W, 3).
    """
    colour, alpha = sprite[..., :3].astype(np.uint32), sprite[..., 3:].astype(np.uint32)
    under = np.array(matte, dtype=np.uint32)
    return ((colour * alpha + under * (255 - alpha) + 127) // 255).astype(np.uint8)


def scale_nearest(image: Pixels, factor: int) -> Pixels:
    """Repeat every pixel `factor` times along both axes. `image`: (H, W, C)."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def exact_scale(image: Pixels) -> int:
    """The largest k for which the image is a nearest enlargement by k, with cells starting at its corner.

    `image`: (H, W, C). Colour changes of such an image lie on multiples of k only.
    """
    height, width = image.shape[:2]
    rows = np.flatnonzero((image[1:] != image[:-1]).any(axis=(1, 2))) + 1
    columns = np.flatnonzero((image[:, 1:] != image[:, :-1]).any(axis=(0, 2))) + 1
    return math.gcd(height, width, *rows.tolist(), *columns.tolist())


def without_hidden_colour(sprite: Pixels) -> Pixels:
    """An RGBA sprite whose fully transparent pixels are all alike."""
    return sprite * (sprite[..., 3:] > 0)


def shrink_to_fit(image: Pixels, shapes: Sequence[tuple[int, int]]) -> Pixels:
    """The image as it is, or where it is larger than all shapes its native pixels, if it is a clean enlargement.

    `image`: (H, W, C). `shapes`: x before y. Raises ValueError where the native pixels fit none either.
    """
    height, width = image.shape[:2]
    if _fits(width, height, shapes):
        return image
    scale = exact_scale(image)
    if not _fits(width // scale, height // scale, shapes):
        first = f"{shapes[0][0]}x{shapes[0][1]}"
        others = f" or the {len(shapes) - 1} other canvases" if len(shapes) > 1 else ""
        raise ValueError(f"{width // scale}x{height // scale} native pixels do not fit {first}{others}")
    return image[::scale, ::scale]


def _fits(width: int, height: int, shapes: Sequence[tuple[int, int]]) -> bool:
    return any(width <= w and height <= h for w, h in shapes)


def encode_rgb(image: Pixels) -> bytes:
    """An RGB image as PNG."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()
