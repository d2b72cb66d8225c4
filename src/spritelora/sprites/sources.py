"""The image files of a folder with what stands beside them: captions, repeats, groups."""

from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}


@dataclass(frozen=True)
class Source:
    """An image file as found, not yet opened.

    `name`: path below the folder. `caption`: None where there is none. `repeats`: how often an epoch shows it.
    `group`: what belongs together (a character, a sheet, a folder), for splits that must not separate it.
    """

    file: Path
    name: str
    caption: str | None
    repeats: int
    group: str


def find_sources(folder: Path) -> list[Source]:
    """All image files below a folder, sorted by name; hidden ones are left out."""
    found: list[Source] = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.suffix.lower() not in IMAGE_SUFFIXES or any(part.startswith(".") for part in name.parts):
            continue
        text = file.with_suffix(".txt")
        caption = " ".join(text.read_text(encoding="utf-8-sig").split()) if text.is_file() else None
        found.append(Source(file, name.as_posix(), caption, 1, name.parent.as_posix()))
    return found
