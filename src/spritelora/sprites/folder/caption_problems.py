"""The images of a training set that lack a caption, and what to do about each."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from spritelora.program import typed
from spritelora.sprites.folder.sources import Source
from spritelora.sprites.names import printable

FEW_MISSING = 3
"""Up to so many images without a caption are each named with their file."""


def caption_problems(folder: Path, sources: Sequence[Source]) -> list[str]:
    """Messages about missing and empty captions."""
    missing = [source for source in sources if source.caption is None]
    problems: list[str] = []
    if len(missing) > FEW_MISSING and not any(source.unread for source in missing):
        problems = [
            f"{len(missing)} of {len(sources)} images have no caption, such as {printable(missing[0].name)}; make them "
            f"from the file names: {typed('prepare', f'input={folder}', 'output=NEW_FOLDER', 'create_captions=true')}; "
            f"or write them: {typed('caption', f'data.path={folder}', 'mode=edit')}"
        ]
        missing = []
    for source in missing:
        elsewhere = f" ({printable(source.unread)} names it and is not read)" if source.unread else ""
        problems.append(
            f"{_caption_file(source)}: missing{elsewhere}; write one line that says what {_image_name(source)} shows"
        )
    return problems + [
        f"{_caption_file(source)}: empty caption; write what the sprite shows, such as: pixel art, red potion"
        for source in sources
        if source.caption == ""
    ]


def _caption_file(source: Source) -> str:
    return printable(PurePosixPath(source.name).with_suffix(".txt"))


def _image_name(source: Source) -> str:
    return printable(PurePosixPath(source.name).name)
