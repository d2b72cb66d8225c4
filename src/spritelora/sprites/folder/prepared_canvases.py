"""The canvases that a set is shown on: those of the run, and those that its prepared images lie on already."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from spritelora.program import typed
from spritelora.sprites.folder.manifest import MANIFEST
from spritelora.sprites.folder.prepared import Prepared
from spritelora.sprites.names import printable, some_of
from spritelora.sprites.pixels.placement import BUCKET_STEP_PX, Canvases, Pair, is_bucket, pair_text

MOST_NAMED = 5


def usable_shapes(canvases: Canvases, prepared: Iterable[Prepared]) -> list[Pair]:
    """The shapes to choose from, with those that prepared images have and may keep."""
    own = {p.record.canvas for p in prepared if canvases.holds(p.record.canvas)}
    return [*canvases.shapes, *sorted(own.difference(canvases.shapes))]


def canvas_problems(folder: Path, prepared: Iterable[Prepared], canvases: Canvases) -> list[str]:
    """The message about a set that was prepared on oblong canvases and cannot be shown on them."""
    found = sorted({p.record.canvas for p in prepared})
    if all(width == height for width, height in found) or all(map(canvases.holds, found)):
        return []
    side_px, listed = prepared_side(found), some_of([pair_text(canvas) for canvas in found], MOST_NAMED)
    if side_px != canvases.side_px:
        remedy = f"type model.resolution={side_px} to train on them as they are, or prepare the set for this one: "
        command = typed(
            "prepare", f"input={folder}", "output=NEW_FOLDER", f"resolution={canvases.side_px}", "buckets=true"
        )
    else:
        remedy = "type data.shapes=auto to train on them as they are, or prepare the set without buckets=true: "
        command = typed("prepare", f"input={folder}", "output=NEW_FOLDER", f"resolution={side_px}")
    asked = f"training at model.resolution={canvases.side_px} shows {some_of(list(map(pair_text, canvases.shapes)), 3)}"
    return [
        f"{MANIFEST}: {printable(folder.name)} was prepared on canvases of {listed} px, and {asked}: {remedy}{command}"
    ]


def own_canvas_remedy(size: Pair, shapes: Sequence[Pair]) -> str:
    """What to type for a canvas of an image's own size, as the end of a sentence; empty where it has no such size."""
    if not is_bucket(size, shapes[0][0]):
        return ""
    return f"; to show it as it is: data.shapes=[{','.join(map(pair_text, [*shapes, size]))}]"


def prepared_side(canvases: list[Pair]) -> int:
    """The resolution that canvases were prepared at: that of their square, else the next multiple of 64."""
    squares = [width for width, height in canvases if width == height]
    area = max(width * height for width, height in canvases)
    return max(squares, default=math.ceil(math.sqrt(area) / BUCKET_STEP_PX) * BUCKET_STEP_PX)
