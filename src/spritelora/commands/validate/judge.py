"""The measures of drawn images: the training sprites, their palette and grid, and CLIP where asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spritelora.data.training_set import TrainingSet
from spritelora.evaluation.clip import ClipScorer, load_clip
from spritelora.evaluation.colours import count_visible_colours, palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Reference
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.evaluation.validation import DrawnSet, measure_set
from spritelora.reports.validation_page import PageSprites
from spritelora.sprites.pixels.image import Pixels

USUAL_COLOURS = 16


@dataclass(frozen=True)
class Judge:
    """The measures of images. `sprites`: the training set."""

    sprites: PageSprites
    reference: Reference
    grid: Grid | None
    prompts: Sequence[str]
    clip: ClipScorer | None

    def measure(self, images: list[Pixels]) -> DrawnSet:
        """Every metric of images, one for each prompt."""
        scores = self.clip.score(images, self.prompts) if self.clip else None
        return measure_set(images, self.reference, self.grid, scores)

    @property
    def usual_colours(self) -> int:
        """The most colours of a usable sprite: as many as training sprites have, and 16 at least."""
        return max(USUAL_COLOURS, *map(count_visible_colours, self.sprites.natives))


def open_judge(sprites: TrainingSet, prompts: Sequence[str], clip: str | None, device: torch.device) -> Judge:
    """The judge of images of `prompts`. `clip`: a CLIP model's name, None for none."""
    natives = native_sprites(sprites)
    palette = palette_of(natives)
    return Judge(
        PageSprites(natives, [s.caption for s in sprites.training], palette),
        Reference(palette, SpriteIndex(natives, sprites.matte)),
        wanted_grid(sprites),
        prompts,
        load_clip(clip, device) if clip else None,
    )
