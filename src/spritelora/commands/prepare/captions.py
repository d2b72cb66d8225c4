"""Which caption each prepared image gets: what people wrote comes first, wherever they wrote it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import DatasetError
from spritelora.sprites.captions.made_captions import caption_from_name
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.prepare.output_folder import sha256_of
from spritelora.sprites.prepare.plan import PlannedFile
from spritelora.sprites.prepare.survey import label
from spritelora.sprites.prepare.write_set import Caption, caption_name, image_name


def settle_captions(
    planned: Sequence[PlannedFile], config: PrepareConfig, output: Path | None, ledger: Mapping[str, set[str]]
) -> tuple[dict[str, Caption], list[Finding]]:
    """A caption for each stem; one that someone wrote or changed in the prepared folder stays theirs.

    None is made for an image whose caption seems to stand in a file that is not read. `ledger`: the files of earlier
    runs in `output` with their hashes.
    """
    captions: dict[str, Caption] = {}
    findings: list[Finding] = []
    for file in planned:
        source = file.surveyed.source
        for piece in file.pieces:
            sprite = file.surveyed.sprites[piece.number]
            name = label(source.name, sprite.tag)
            try:
                if output and _is_edited(output, piece.stem, ledger):
                    captions[piece.stem] = Caption(_read(output / caption_name(piece.stem)), "edited")
                elif source.caption is not None:
                    words = sprite.words if sprite.tag else ()  # they tell siblings apart; a whole file needs none
                    captions[piece.stem] = Caption(", ".join([source.caption, *words]), "source")
                elif config.create_captions and not source.unread:
                    captions[piece.stem] = Caption(create_caption(source.name, sprite.words, config), "name")
                else:
                    captions[piece.stem] = Caption()
            except DatasetError as error:
                captions[piece.stem] = Caption()
                findings.append(Finding("no_caption", Severity.error, name, str(error).removeprefix(f"{name}: ")))
    return captions, findings


def create_caption(name: str, words: Sequence[str], config: PrepareConfig) -> str:
    """A caption from the name of a file and its folders. Raises DatasetError where the name says nothing."""
    return caption_from_name(name, config.template, config.trigger, config.prefix, config.suffix, words)


def _is_edited(output: Path, stem: str, ledger: Mapping[str, set[str]]) -> bool:
    """Whether a caption beside an image of ours is not the one that was written there."""
    name = caption_name(stem)
    if image_name(stem) not in ledger or not os.path.lexists(output / name):
        return False
    return sha256_of(output / name) not in ledger.get(name, set())


def _read(file: Path) -> str:
    try:
        return " ".join(file.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read as UTF-8 text ({error}); write it anew or remove it") from error
