"""Captions written by a captioner beside the sprites that have none."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from spritelora.errors import DatasetError
from spritelora.long_work import Progress
from spritelora.sprites.captions.made_captions import join_caption
from spritelora.sprites.folder.caption_files import caption_version, side_car, write_caption
from spritelora.sprites.folder.sources import Source
from spritelora.sprites.pixels.image import apply_matte, read_sprite, shrink_to_fit
from spritelora.sprites.pixels.matte import choose_matte, sprite_colours
from spritelora.sprites.pixels.placement import draw_on_canvas, in_middle

log = logging.getLogger(__name__)


class Describes(Protocol):
    """A captioner: images in, captions out."""

    side_px: int

    def describe(self, images: Sequence[Image.Image]) -> list[str]: ...


@dataclass(frozen=True)
class Surround:
    """The texts around every caption."""

    trigger: str = ""
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Wanted:
    """A sprite to caption, and the state of its caption file when it was chosen."""

    source: Source
    file: Path
    version: str


def choose_wanted(sources: Iterable[Source], overwrite: bool) -> list[Wanted]:
    """The sprites without a caption; with `overwrite` all whose caption is a text file of their own.

    One whose caption seems to stand in a file that is not read is left to its author without `overwrite`.
    """
    pairs = [(source, side_car(source)) for source in sources]
    return [
        Wanted(source, file, caption_version(file))
        for source, file in pairs
        if file is not None and (overwrite or not (source.unread or (source.caption or "").strip(" ,")))
    ]


def write_captions(wanted: Sequence[Wanted], captioner: Describes, surround: Surround, batch_size: int) -> list[str]:
    """Caption sprites in batches, each caption on disk before the next batch begins.

    A caption file that another has written meanwhile is kept. Returns what went wrong, a line a sprite.
    """
    problems: list[str] = []
    with Progress(len(wanted), "sprite", "captioning") as progress:
        for start in range(0, len(wanted), batch_size):
            batch = wanted[start : start + batch_size]
            try:
                problems += _write_batch(batch, captioner, surround)
            except (KeyboardInterrupt, SystemExit):
                log.warning("the captions of %d of %d sprites are written", start, len(wanted))
                raise
            progress.advance(len(batch))
    return problems


def _write_batch(batch: Sequence[Wanted], captioner: Describes, surround: Surround) -> list[str]:
    problems: list[str] = []
    shown: list[tuple[Wanted, Image.Image]] = []
    for item in batch:
        try:
            shown.append((item, show_sprite(item.source.file, captioner.side_px)))
        except DatasetError as error:
            problems.append(str(error))
    texts = captioner.describe([image for _, image in shown]) if shown else []
    for (item, _), text in zip(shown, texts, strict=True):
        if not text:
            problems.append(f"{item.source.name}: the captioner said nothing; write this caption by hand")
        elif caption_version(item.file) == item.version:
            write_caption(item.file, join_caption(text, surround.trigger, surround.prefix, surround.suffix))
        else:
            problems.append(f"{item.file.name}: was written by another meanwhile; kept as it is")
    return problems


def show_sprite(file: Path, side_px: int) -> Image.Image:
    """A sprite as a captioner sees it: enlarged by a whole factor to about `side_px`, on a plain matte, square.

    One with more native pixels than that is padded only. Raises DatasetError as `read_sprite`.
    """
    sprite = read_sprite(file)
    matte = choose_matte([sprite_colours(sprite)])
    flat = apply_matte(sprite, matte)
    try:
        flat = shrink_to_fit(flat, [(side_px, side_px)])
    except ValueError:  # no enlargement of a sprite that would fit
        side_px = max(flat.shape[:2])
    height, width = flat.shape[:2]
    fit = in_middle((width, height), side_px // max(height, width), side_px)
    return Image.fromarray(draw_on_canvas(flat, fit, matte))
