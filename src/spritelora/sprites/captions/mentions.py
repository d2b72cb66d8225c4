"""Names of images within the text of a stranger's file, whatever its format."""

import re
from collections.abc import Iterator

IMAGE_END = re.compile(r"\.(?:a?png|jpe?g|webp|bmp|gif|ase(?:prite)?)(?!\.?\w)", re.IGNORECASE)
BEFORE_NAME = re.compile(r"""[\n\r\t"',;<>=|?*]""")
LONGEST_NAME = 255


def image_mentions(text: str) -> Iterator[str]:
    """The text before each suffix of an image and the suffix, back to a quote, bracket, comma or line break.

    It may be a path, or have words before it. In time linear in the text, for a pattern that begins anywhere is not.
    """
    for match in IMAGE_END.finditer(text):
        before = text[max(0, match.start() - LONGEST_NAME) : match.start()]
        yield (BEFORE_NAME.split(before)[-1] + match[0]).strip()
