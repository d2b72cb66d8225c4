"""Numbers, texts and compressed pixels of an Aseprite file, read within its bounds."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

REMEDY = "save it again in Aseprite, or export it as PNG"


class AseError(ValueError):
    """An Aseprite file that cannot be read as it was drawn. The message says why, and what to do."""


def damaged(what: str) -> AseError:
    """The error for a file that is not as the format says."""
    return AseError(f"damaged Aseprite file ({what}); {REMEDY}")


def unsupported(what: str) -> AseError:
    """The error for what the public format does not define, so that it could only be guessed."""
    return AseError(f"{what} cannot be drawn as Aseprite draws it; flatten it there, or export it as PNG")


class Reader:
    """A part of a file, little-endian, read from its start to its end. `name`: the part, for messages."""

    def __init__(self, content: memoryview, name: str) -> None:
        self._content = content
        self.name = name
        self.place = 0

    @property
    def left(self) -> int:
        """The bytes that are not read yet."""
        return len(self._content) - self.place

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Whole numbers of a layout of `struct`. Raises AseError where the part is too short."""
        size = struct.calcsize(f"<{layout}")
        return struct.unpack(f"<{layout}", self.take(size))

    def text(self) -> str:
        """A text with its length before it; bytes that are no UTF-8 are replaced."""
        (length,) = self.numbers("H")
        return bytes(self.take(length)).decode("utf-8", errors="replace")

    def take(self, size: int) -> memoryview:
        """The next bytes. Raises AseError where the part is too short."""
        if size > self.left:
            raise damaged(f"{self.name} needs {size:,} bytes and has {self.left:,}")
        self.place += size
        return self._content[self.place - size : self.place]

    def part(self, size: int, name: str) -> "Reader":
        """The next bytes as a part of their own."""
        return Reader(self.take(size), name)

    def rest(self) -> memoryview:
        """All bytes that are not read yet."""
        return self.take(self.left)


def unpack(content: bytes | memoryview, size: int, name: str) -> Pixels:
    """The `size` bytes that are packed in zlib's form, (size,); never more are unpacked, whatever the file holds."""
    packer = zlib.decompressobj()
    try:
        found = packer.decompress(content, size + 1)
    except zlib.error as error:
        raise damaged(f"{name} cannot be unpacked: {error}") from error
    if len(found) != size:
        raise damaged(f"{name} unpacks to {'more' if len(found) > size else f'{len(found):,}'} bytes, not {size:,}")
    return np.frombuffer(found, dtype=np.uint8)
