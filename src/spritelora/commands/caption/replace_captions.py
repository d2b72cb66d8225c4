"""A text or phrases changed in all captions of a folder, or shown as they would be changed."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from spritelora.captioning.bulk_change import BulkChange, Edit
from spritelora.config.commands.caption import CaptionConfig
from spritelora.errors import ConfigError, DatasetError
from spritelora.sprites.folder.caption_files import check_writable, read_caption, side_car, write_caption
from spritelora.sprites.folder.sources import Source, refuse
from spritelora.sprites.names import printable

log = logging.getLogger(__name__)


def bulk_change_of(config: CaptionConfig) -> BulkChange:
    """The change that was asked for. Raises ConfigError for half of one, and as `BulkChange`."""
    if (config.find is None) != (config.put is None):
        given, missing = ("find", "put") if config.put is None else ("put", "find")
        raise ConfigError(f"{given}= without {missing}=: give both, with put= left empty to take out what is found")
    if config.pattern and config.find is None:
        raise ConfigError("pattern=true says what find= is: add find= and put=")
    if config.add_first and config.add is None:
        raise ConfigError("add_first=true says where add= goes: add add=")
    return BulkChange(
        config.find, config.put or "", config.pattern, config.remove or "", config.add or "", config.add_first
    )


def replace_captions(folder: Path, change: BulkChange, sources: Sequence[Source], dry_run: bool) -> None:
    """Change captions and print each as it was and as it is; with `dry_run` nothing is written.

    Raises DatasetError at the end that names those that could not be changed: they are as they were.
    """
    files = {source.name: side_car(source) for source in sources}
    captions = {source.name: source.caption for source in sources if source.caption}
    edits, problems = change.captions(captions)
    made: list[Edit] = []
    for edit in edits:
        try:
            _make(edit, files, dry_run)
            made.append(edit)
        except DatasetError as error:
            problems.append(str(error))
    sys.stdout.write(
        "".join(f"{printable(e.name)}\n  - {printable(e.before)}\n  + {printable(e.after)}\n" for e in made)
    )
    sys.stdout.flush()
    if len(captions) < len(sources):
        log.info(
            "%d of %d sprites have no caption; mode=edit or mode=caption", len(sources) - len(captions), len(sources)
        )
    done = "would change; nothing was written" if dry_run else "changed"
    log.info("%d of %d captions %s", len(made), len(captions), done)
    refuse(folder, problems)


def _make(edit: Edit, files: Mapping[str, Path | None], dry_run: bool) -> None:
    """Write one caption. Raises DatasetError where it cannot be changed, or is not what was read."""
    file = files[edit.name]
    if file is None:
        raise DatasetError(
            f"{printable(edit.name)}: its caption comes from a file of another kind (metadata.jsonl, metadata.csv, "
            f".caption), which is not changed; edit that"
        )
    check_writable(file)
    if read_caption(file) != edit.before:
        raise DatasetError(f"{printable(file)}: changed on disk meanwhile, and left so; run the same command again")
    if not dry_run:
        write_caption(file, edit.after)
