"""Images of a command that was stopped half way: they are kept, and the same command does not draw them again."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.files import write_whole
from spritelora.runs.layout import DRAWN
from spritelora.sprites.pixels.image import Pixels, encode_rgb

log = logging.getLogger(__name__)

IDENTITY = "drawn_as.json"


class KeptImages:
    """The images drawn so far, in a hidden folder of the output, by strength and number.

    `identity`: everything that an image depends on, as JSON can hold it; kept images of another are removed.
    `begin` is called before the first is written. `command`: goes on where this one is stopped.
    """

    def __init__(self, output: Path, identity: Mapping[str, object], begin: Callable[[], None], command: str) -> None:
        self.folder, self.begin, self.command = output / DRAWN, begin, command
        self.identity = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        file = self.folder / IDENTITY
        self._has_begun = file.is_file() and file.read_text(encoding="utf-8", errors="replace") == self.identity
        if not self._has_begun:
            self.remove()

    def images(self, strength: float, most: int) -> list[Pixels]:
        """Those of a strength, from the first to before the first that is not there; (H, W, 3) each."""
        found: list[Pixels] = []
        while len(found) < most and (file := self._file(strength, len(found))).is_file():
            with Image.open(file) as image:
                found.append(np.asarray(image.convert("RGB")))
        return found

    def keep(self, strength: float, first: int, images: Sequence[Pixels]) -> None:
        """Write images of a strength, `first` being the number of the first of them."""
        if not self._has_begun:
            self.begin()
            self.folder.mkdir()
            write_whole(self.folder / IDENTITY, self.identity)
            self._has_begun = True
        for number, image in enumerate(images, first):
            file = self._file(strength, number)
            file.parent.mkdir(exist_ok=True)
            write_whole(file, encode_rgb(image))

    def remove(self) -> None:
        """Remove them: they are drawn and written, or are of something else."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def told_when_stopped(self, total: int) -> Iterator[None]:
        """Says, where the block is stopped by Ctrl-C or SIGTERM, how many of all images are kept, and what goes on."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            count = len(list(self.folder.rglob("*.png")))
            log.warning("stopped; %d of %d images are kept. To continue, type: %s", count, total, self.command)
            raise

    def _file(self, strength: float, number: int) -> Path:
        return self.folder / f"{strength:g}" / f"{number:05d}.png"
