"""Animations: the frames of a GIF, APNG, WebP or Aseprite file, each as it is seen."""

from pathlib import Path

from PIL import Image

from spritelora import limits
from spritelora.errors import DatasetError
from spritelora.sprites.ase.pillow_file import FORMAT as ASEPRITE
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels, open_image, read_sprite
from spritelora.sprites.pixels.modes import is_deep, to_rgba

ANIMATED = ("PNG", "WEBP", "GIF", ASEPRITE)


def count_frames(file: Path) -> int:
    """The number of frames that an image file says it has. Raises DatasetError as `read_sprite`."""
    with open_image(file) as image:
        return _num_frames(image)


def read_frames(file: Path) -> list[Pixels]:
    """Every frame over what its forerunners leave of themselves, RGBA, (H, W, 4); of a still image that one.

    An APNG's still image for old viewers is no frame, where the file says so. Raises DatasetError as `read_sprite`,
    for more than `FRAMES` frames or `ANIMATION_PIXELS` pixels in all, and for an APNG whose frames Pillow would lay
    over one another wrongly.
    """
    with open_image(file) as image:
        number = _num_frames(image)
        try:
            check_animation(image, number)
        except ValueError as error:
            raise DatasetError(f"{printable(file)}: {error}") from error
        if number > 1:
            if image.format == "PNG":
                _check_samples(file, image)
            first = 1 if image.info.get("default_image") else 0
            return [read_frame(image, i) for i in range(first, number)]
    return [read_sprite(file)]


def check_animation(image: Image.Image, number: int) -> None:
    """Raise ValueError for more frames of an image, or more pixels in them, than can be read."""
    limits.FRAMES.check(number)
    found = f"{number:,} frames of {image.width}x{image.height} px"
    limits.ANIMATION_PIXELS.check(number * image.width * image.height, found=found)


def _check_samples(file: Path, image: Image.Image) -> None:
    """Refuse an APNG of 16 bits, or with a transparent grey: Pillow compares its frames in 8 bits, and no grey."""
    is_keyed_grey = image.mode in ("1", "L") and "transparency" in image.info
    if is_deep(image) or image.mode.startswith("I") or is_keyed_grey:
        found = "with a transparent grey" if is_keyed_grey else "of 16 bits"
        raise DatasetError(f"{printable(file)}: an animated PNG {found} is not read; export it as RGBA of 8 bits")


def _num_frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in ANIMATED else 1


def read_frame(image: Image.Image, number: int) -> Pixels:
    """One frame of an image that is open, RGBA, (H, W, 4)."""
    image.seek(number)
    image.load()
    return to_rgba(image).copy()
