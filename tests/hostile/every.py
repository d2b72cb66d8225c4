"""All kinds of hostile files, in one order, and what they have in common."""

from collections.abc import Iterable
from pathlib import Path

from tests.hostile import images, loras, tables
from tests.hostile.trial import Kind


def every_kind() -> list[Kind]:
    """All kinds."""
    return [*images.kinds(), *loras.kinds(), *tables.kinds()]


def make_shared(folder: Path, kinds: Iterable[Kind]) -> Path:
    folder.mkdir()
    return folder
