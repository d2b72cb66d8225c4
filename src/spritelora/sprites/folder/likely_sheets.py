"""Images of a training set that hold many sprites each: they train as one sprite, which nobody wants."""

import logging
from collections.abc import Sequence
from pathlib import Path

from spritelora.program import typed
from spritelora.sprites.folder.sprite_folder import CaptionedSprite, native_sprite
from spritelora.sprites.names import some_of
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.recent import Recent
from spritelora.sprites.sheets.sheet_plan import plan_sheets

log = logging.getLogger(__name__)

MOST_NAMED = 3
KEPT_BYTES = 64 * 1024 * 1024


def warn_of_sheets(sprites: Sequence[CaptionedSprite]) -> None:
    """Say which sprites seem to be sheets, and the command that cuts them.

    Those that were prepared are none: prepare has told sheets from sprites.
    """
    originals = {sprite.name: sprite for sprite in sprites if sprite.prepared is None}
    kept = Recent[Pixels](KEPT_BYTES, lambda pixels: pixels.nbytes)

    def read(name: str) -> Pixels:
        return kept.get(name, lambda: native_sprite(originals[name]).pixels)

    plan = plan_sheets({name: sprite.native_size for name, sprite in originals.items()}, {}, read)
    if sheets := sorted({*plan.layouts, *(doubt.name for doubt in plan.doubts)}):
        folder = _folder_of(originals[sheets[0]])
        log.warning(
            "%d of %d images seem to be sheets of several sprites, and each trains as one: %s; to cut them: %s",
            len(sheets),
            len(sprites),
            some_of(sheets, MOST_NAMED),
            typed("prepare", f"input={folder}", "output=NEW_FOLDER", "create_captions=true"),
        )


def _folder_of(sprite: CaptionedSprite) -> Path:
    """The folder that a sprite was read from; beside other sets its name begins with that of its set."""
    parts = Path(sprite.name).parts
    has_set = sprite.file.parts[-len(parts) :] != parts
    return sprite.file.parents[len(parts) - 1 - has_set]
