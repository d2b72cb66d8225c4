"""Names that came from strangers: fit to be printed, and fit to be part of a file name."""

import unicodedata
from collections.abc import Sequence

from spritelora.file_names import safe_name
from spritelora.shown import printable

__all__ = ["image_name", "printable", "slug", "some_of"]

LONGEST_SLUG, LONGEST_OF_PROMPT = 40, 120
"""Letters; `file_names.LONGEST_NAME` has room for a prompt's, with numbers behind."""


def slug(text: str, longest: int = LONGEST_SLUG) -> str:
    """Letters and digits of any script, in lower case, whole words joined by `-`: part of a file name; may be empty."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    joined = "-".join("".join(c if c.isalnum() else " " for c in folded).split())
    if len(joined) <= longest:
        return joined
    whole, dash, _ = joined[: longest + 1].rpartition("-")
    return whole if dash else joined[:longest]


def image_name(number: int, prompt: str) -> str:
    """The file of the image of a prompt, one of several: `03_red-potion.png`."""
    return f"{number:02d}_{safe_name(slug(prompt, LONGEST_OF_PROMPT) or 'prompt')}.png"


def some_of(names: Sequence[str], most: int) -> str:
    """The first names of a list, and how many more there are, fit for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + more
