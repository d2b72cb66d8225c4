"""A first look at the set before the first step: a picture of it as training sees it, and what is beyond the base."""

import logging
from pathlib import Path

import numpy as np

from spritelora.data.training_set import TrainingSet
from spritelora.embedded.reach import reach_note
from spritelora.evaluation.native_sprites import on_native_canvas
from spritelora.files import write_whole
from spritelora.reports.labelled_sheet import labelled_sheet
from spritelora.sprites.pixels.image import Pixels, encode_rgb

log = logging.getLogger(__name__)

MOST_SHOWN = 12


def tell_of_set(base: Path, sprites: TrainingSet, picture: Path | None) -> None:
    """Say where sprites are beyond the base, and write the picture, None for none."""
    if note := reach_note(base, (sprite.fit for sprite in sprites.training)):
        log.warning("%s", note)
    if picture is not None:
        show_training_set(sprites, picture)


def show_training_set(sprites: TrainingSet, file: Path) -> None:
    """Write sprites from all of the set, each on its canvas over the background, with its caption."""
    every = sprites.training
    chosen = every[:: -(-len(every) // MOST_SHOWN)]

    def on_canvas(number: int) -> Pixels:
        native = on_native_canvas(chosen[number], sprites.matte)
        return np.dstack([native, np.full(native.shape[:2], 255, dtype=np.uint8)])

    sheet = labelled_sheet([(sprite.caption, [on_canvas(number)]) for number, sprite in enumerate(chosen)])
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, encode_rgb(np.asarray(sheet)))
    log.info("some sprites as training sees them: %s", file)
