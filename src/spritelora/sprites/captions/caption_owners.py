"""Which image a text file is the caption of, whether or not the file system tells cases and forms of Unicode apart."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

CAPTION_SUFFIXES = (".txt", ".caption")
DOCUMENTS = {
    "attribution", "author", "authors", "changelog", "changes", "copying", "copyright", "credit", "credits", "info",
    "licence", "license", "notice", "readme", "terms", "version",
}  # fmt: skip
"""Words in the name of a text file that is about a pack, and no caption of it."""


def find_owners(images: Iterable[str], texts: Iterable[str]) -> dict[str, list[str]]:
    """The `.txt` and `.caption` files of each image that has any, by paths below the set's folder, the best first.

    `axe.txt` belongs to `axe.png`, and so does `axe.png.txt` where no image is called `axe.png.png`. Forms of Unicode
    do not count; upper case does not either, as long as one image alone could be meant.
    """
    exact, folded = _Names(), _Names()
    for image in images:
        exact.add(composed(image), image)
        folded.add(composed(image).casefold(), image)
    ranked: dict[str, list[tuple[int, int, bool, str]]] = defaultdict(list)
    for text in texts:
        path = PurePosixPath(composed(text))
        body = str(path.with_suffix(""))
        rank, owners = exact.find(body)
        if not owners:
            rank, owners = folded.find(body.casefold())
            owners = owners if len(owners) == 1 else ()
        for image in owners:
            is_other = not text.startswith(str(PurePosixPath(image).with_suffix("")))
            kind = CAPTION_SUFFIXES.index(path.suffix.lower())
            ranked[image].append((rank, kind, is_other or path.suffix not in CAPTION_SUFFIXES, text))
    return {image: [text for *_, text in sorted(found)] for image, found in ranked.items()}


def is_document(text: str) -> bool:
    """Whether a text file is about a pack, by its name: a licence, credits, a read-me."""
    path = PurePosixPath(text.lower())
    words = re.findall(r"[a-z]+", path.stem)
    return path.suffix in CAPTION_SUFFIXES and not DOCUMENTS.isdisjoint([*words, "".join(words)])


def composed(name: str) -> str:
    """A name in Unicode's composed form: macOS writes `e` and an accent, others one letter."""
    return unicodedata.normalize("NFC", name)


class _Names:
    """Images by their path without suffix, and by all of it."""

    def __init__(self) -> None:
        self._stems: dict[str, list[str]] = defaultdict(list)
        self._wholes: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, image: str) -> None:
        self._stems[str(PurePosixPath(name).with_suffix(""))].append(image)
        self._wholes[name].append(image)

    def find(self, body: str) -> tuple[int, Sequence[str]]:
        """The images of a text file's path without suffix; 1 where it has the suffix of the image too."""
        return (0, self._stems[body]) if body in self._stems else (1, self._wholes.get(body, ()))
