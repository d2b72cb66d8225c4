"""One picture of a run: the base, the LoRA as it learns, and the sprites it learns from, prompt by prompt."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

TILE_PX, LABEL_PX, HEADER_PX, GAP_PX = 128, 96, 20, 12
MOST_STEPS = 8


def similar_captions(prompts: Sequence[str], captions: Sequence[str]) -> list[int]:
    """For each prompt the number of the caption that shares most words with it, each taken once while any is left.

    A word counts the more, the fewer captions have it.
    """
    words = [_words(caption) for caption in captions]
    num_captions = Counter(word for each in words for word in each)
    free = set(range(len(captions)))
    chosen: list[int] = []
    for prompt in prompts:
        asked = _words(prompt)
        free = free or set(range(len(captions)))
        best = max(sorted(free), key=lambda at: sum(1 / num_captions[word] for word in asked & words[at]))
        free.discard(best)
        chosen.append(best)
    return chosen


def _words(text: str) -> set[str]:
    return set(text.lower().replace(",", " ").split())


def contact_sheet(
    folder: Path, prompts: Sequence[str], references: Sequence[NDArray[np.uint8]], taught: Collection[str] = ()
) -> Image.Image:
    """All samples of a run: a row for each prompt; columns base, steps, and the training sprite nearest in words.

    `folder`: holds `step_*` folders with an image for each prompt; of more than `MOST_STEPS` the first, the last and
    some between are shown. `references`: an image for each prompt. `taught`: the prompts that are training captions,
    which the sheet marks, and new ones.
    """
    steps = _spread([step for step in sorted(folder.glob("step_*")) if any(step.glob("*.png"))], MOST_STEPS)
    columns = [*map(_step_label, steps), "training set"]
    last = LABEL_PX + TILE_PX * len(steps) + GAP_PX
    sheet = Image.new("RGB", (last + TILE_PX, HEADER_PX + TILE_PX * len(prompts)), "white")
    pen = ImageDraw.Draw(sheet)
    lefts = [*(LABEL_PX + TILE_PX * i for i in range(len(steps))), last]
    for left, label in zip(lefts, columns, strict=True):
        pen.text((left + 4, 4), label, fill="black")
    for row, prompt in enumerate(prompts):
        top = HEADER_PX + TILE_PX * row
        pen.multiline_text((4, top + 4), "\n".join(wrap(prompt, 14)[:7]), fill="black")
        if taught:
            pen.text((4, top + TILE_PX - 16), "trained on" if prompt in taught else "new", fill="dimgray")
        for left, step in zip(lefts, steps, strict=False):
            for file in step.glob(f"{row:02d}_*.png"):
                with Image.open(file) as image:
                    sheet.paste(_tile(image), (left, top))
        sheet.paste(_tile(Image.fromarray(references[row])), (last, top))
    return sheet


def _step_label(step: Path) -> str:
    number = int(step.name[5:])
    return f"step {number}" if number else "base"


def _spread(steps: list[Path], most: int) -> list[Path]:
    if len(steps) <= most:
        return steps
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def _tile(image: Image.Image) -> Image.Image:
    """The image as large as a tile lets it be, in its middle, on white."""
    longest = max(image.size)
    size = (max(1, image.width * TILE_PX // longest), max(1, image.height * TILE_PX // longest))
    tile = Image.new("RGB", (TILE_PX, TILE_PX), "white")
    shown = image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    tile.paste(shown, ((TILE_PX - size[0]) // 2, (TILE_PX - size[1]) // 2))
    return tile
