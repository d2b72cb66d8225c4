"""Names that came from strangers: fit to be printed, and fit to be part of a file name."""

import unicodedata

LONGEST_SLUG = 40


def printable(name: object) -> str:
    """A name as it may stand in a message: line breaks and other invisible characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def slug(text: str) -> str:
    """Letters and digits of any script, in lower case, joined by `-`: part of a file name; may be empty."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if c.isalnum() else " " for c in folded).split()
    return "-".join(words)[:LONGEST_SLUG].rstrip("-")
