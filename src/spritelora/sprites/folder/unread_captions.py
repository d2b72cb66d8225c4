"""Captions in files that are not read: found by the images that a file names, so that none is written over them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import cast

from spritelora import limits
from spritelora.files import JsonObject
from spritelora.sprites.captions.caption_owners import CAPTION_SUFFIXES, composed, is_document
from spritelora.sprites.captions.mentions import image_mentions
from spritelora.sprites.captions.sidecars import METADATA_FILES, read_text
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.manifest import MANIFEST
from spritelora.sprites.names import some_of

TABLE_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".yaml", ".yml", *CAPTION_SUFFIXES}
BINARY_TABLE = re.compile(r"(metadata|captions?).*\.(parquet|arrow|xlsx?|ods)", re.IGNORECASE)
MAX_NAMED = 3

NAME_START = re.compile(r"[/\\:]")
CAPTION_KEYS = {"caption", "captions", "text", "prompt", "tags", "description"}
NAME_KEYS = ("file_name", "filename", "file", "image", "path", "name")


def find_unread(
    folder: Path, files: Iterable[Path], without_caption: Iterable[str], owned: Iterable[str]
) -> tuple[dict[str, str], list[Finding]]:
    """The file that seems to hold the caption of each image in `without_caption`, and a warning for each such file.

    `owned`: text files that are captions of an image. Paths are below `folder`.
    """
    images = {name: _names_of(name) for name in without_caption}
    read = {*owned}
    unread: dict[str, str] = {}
    findings: list[Finding] = []
    strays: list[str] = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        if name in read or not _is_table(file):
            continue
        named = _named_images(name, set(_names_in(file)) if images else set(), images)
        unread |= dict.fromkeys(named, name)
        if named:
            message = (
                f"names {_count(len(named), 'image')} without a caption and is not read; write captions into "
                f"metadata.csv (columns file_name and text) or NAME.txt beside the image, or remove this file; until "
                f"then none is made for them"
            )
            findings.append(Finding("unread_captions", Severity.warning, name, message))
        elif file.suffix.lower() in CAPTION_SUFFIXES:
            strays.append(name)
    return unread, [*findings, *_strays(strays)]


def _is_table(file: Path) -> bool:
    if file.name.lower() in (*METADATA_FILES, MANIFEST) or is_document(file.name):
        return False
    return file.suffix.lower() in TABLE_SUFFIXES or BINARY_TABLE.fullmatch(file.name) is not None


def _named_images(table: str, names: set[str], images: Mapping[str, tuple[str, str]]) -> list[str]:
    """Images beside or below a table that it names; all of them where its names cannot be read."""
    parent = PurePosixPath(table).parent
    below = [image for image in images if parent in PurePosixPath(image).parents]
    return below if BINARY_TABLE.fullmatch(PurePosixPath(table).name) else [i for i in below if names & {*images[i]}]


def _names_of(image: str) -> tuple[str, str]:
    """An image's name with and without suffix, as `_names_in` writes them."""
    path = PurePosixPath(composed(image).casefold())
    return path.name, path.stem


def _names_in(file: Path) -> Iterator[str]:
    """Possible names of images in a table, in lower case; in JSON also names without suffix."""
    if BINARY_TABLE.fullmatch(file.name):
        return
    try:
        text = composed(read_text(file, limits.SEARCHED_TABLE_BYTES)).casefold()
        if file.suffix.lower() == ".json":
            yield from _names_in_json(file, json.loads(text))
            return
    except (ValueError, RecursionError):
        return
    if file.suffix.lower() in CAPTION_SUFFIXES:
        yield composed(file.stem).casefold()
    for mention in image_mentions(text):
        name = NAME_START.split(mention)[-1].strip()
        yield name
        yield name.split()[-1]


def _names_in_json(file: Path, content: object) -> Iterator[str]:
    """Names beside captions: keys of captions, values beside one, or the file's own name; sheets have none of these."""
    if isinstance(content, list):
        for item in cast(list[JsonObject], content):
            if _has_caption(item):
                yield from (_last_part(item[key]) for key in NAME_KEYS if key in item)
    elif isinstance(content, dict):
        entries = cast(JsonObject, content)
        if _has_caption(entries):
            yield _last_part(composed(file.stem).casefold())
        for key, value in entries.items():
            if isinstance(value, str) or _has_caption(value):
                yield _last_part(key)


def _has_caption(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return any(isinstance(cast(JsonObject, value).get(key), str) for key in CAPTION_KEYS)


def _last_part(name: object) -> str:
    return str(name).replace("\\", "/").rpartition("/")[2]


def _strays(names: list[str]) -> list[Finding]:
    if not names:
        return []
    listed = some_of(names, MAX_NAMED)
    message = f"{listed} not read: no image of that name; a caption is NAME.txt or NAME.caption beside NAME.png"
    return [Finding("unread_text", Severity.warning, "", message)]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
