"""Aseprite files for Pillow, so that they are opened, measured and read as every other image is."""

from typing import Any

from PIL import Image, ImageFile

from spritelora.sprites.ase.drawing import Drawer
from spritelora.sprites.ase.parser import MAGIC, parse_document

FORMAT = "ASEPRITE"
SUFFIXES = (".ase", ".aseprite")


class AseImage(ImageFile.ImageFile):
    """An Aseprite file: its frames as RGBA, each as it is seen."""

    format = FORMAT
    format_description = "Aseprite"

    def _open(self) -> None:
        assert self.fp is not None
        self.document = parse_document(self.fp.read())
        self._size = self.document.shown_size
        self._mode = "RGBA"
        self.n_frames = len(self.document.frames)
        self.is_animated = self.n_frames > 1
        self._drawer = Drawer(self.document)
        self._frame, self._loaded = 0, -1

    def seek(self, frame: int) -> None:
        """Go to a frame, from 0. Raises EOFError beyond the last one."""
        if not 0 <= frame < self.n_frames:
            raise EOFError(f"frame {frame} of {self.n_frames}")
        self._frame = frame

    def tell(self) -> int:
        """The number of the frame."""
        return self._frame

    def load(self) -> Any:
        """Draw the frame, unless it is drawn. Raises AseError."""
        if self._loaded != self._frame:
            self.im = Image.fromarray(self._drawer.draw(self._frame)).im
            self._loaded = self._frame
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix[4:6] == MAGIC.to_bytes(2, "little")


Image.register_open(FORMAT, AseImage, _accept)
Image.register_extensions(FORMAT, list(SUFFIXES))
