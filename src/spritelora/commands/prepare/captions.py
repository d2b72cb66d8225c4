"""Which caption each prepared image gets: what people wrote comes first, wherever they wrote it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import DatasetError
from spritelora.program import typed
from spritelora.sprites.captions.made_captions import CaptionForm, caption_from_name
from spritelora.sprites.captions.name_parts import parts_of_names
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import printable
from spritelora.sprites.prepare.output_folder import sha256_of
from spritelora.sprites.prepare.plan import PlannedFile
from spritelora.sprites.prepare.survey import label
from spritelora.sprites.prepare.write_set import Caption, caption_name, image_name

MOST_CELLS_OF_A_SUBJECT = 64
"""A sheet of more cells shows many things, and its name is not what each of them is."""


def settle_captions(
    planned: Sequence[PlannedFile], config: PrepareConfig, output: Path | None, ledger: Mapping[str, set[str]]
) -> tuple[dict[str, Caption], list[Finding]]:
    """A caption for each stem; one that someone wrote or changed in the prepared folder stays theirs.

    None is made for an image whose caption seems to stand in a file that is not read. `ledger`: the files of earlier
    runs in `output` with their hashes.
    """
    captions: dict[str, Caption] = {}
    findings: list[Finding] = []
    nameless: list[str] = []
    form = CaptionForm(config.template, config.trigger, config.prefix, config.suffix)
    parts = parts_of_names([file.surveyed.source.name for file in planned])
    for file, of_name in zip(planned, parts, strict=True):
        source = file.surveyed.source
        is_collection = len(file.surveyed.sprites) > MOST_CELLS_OF_A_SUBJECT
        of_file = replace(of_name, subject="") if is_collection else of_name
        for piece in file.pieces:
            sprite = file.surveyed.sprites[piece.number]
            name = label(source.name, sprite.tag)
            captions[piece.stem] = Caption()
            try:
                if output and _is_edited(output, piece.stem, ledger):
                    captions[piece.stem] = Caption(_read(output / caption_name(piece.stem)), "edited")
                elif source.caption is not None:
                    words = sprite.words if sprite.tag else ()  # they tell siblings apart; a whole file needs none
                    captions[piece.stem] = Caption(", ".join([source.caption, *words]), "source")
                elif config.create_captions and not source.unread:
                    caption = caption_from_name(source.name, form, sprite.words, of_file)
                    captions[piece.stem] = Caption(caption, "name" if caption else "")
                    nameless += [] if caption else [name]
            except DatasetError as error:
                findings.append(Finding("no_caption", Severity.error, name, str(error).removeprefix(f"{name}: ")))
    return captions, [*findings, *_nameless(nameless, len(captions), config.output)]


def _nameless(names: Sequence[str], num_sprites: int, output: str | None) -> list[Finding]:
    """One line for all sprites that have no caption, for their names do not say what they show."""
    if not names:
        return []
    page = typed("caption", f"data.path={output or 'OUTPUT'}", "mode=edit")
    text = (
        f"no subject in the names of {len(names):,} of {num_sprites:,} sprites, such as {printable(names[0])}, so they "
        f"have no caption; training needs one for each: {page}; or rename the files after what they show, or take the "
        f"folder's name: template='pixel art, {{folder}}'"
    )
    return [Finding("no_subject", Severity.warning, "", text)]


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
