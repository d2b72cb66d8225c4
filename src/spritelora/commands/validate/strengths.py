"""The images of a validation at each strength, drawn by one UNet and measured."""

import logging
from collections.abc import Sequence
from pathlib import Path

from spritelora.commands.validate.judge import Judge
from spritelora.commands.validate.settings import LOG
from spritelora.config.commands.validate import ValidateConfig
from spritelora.drawing.kept_images import KeptImages
from spritelora.drawing.studio import Studio
from spritelora.errors import WeightsError
from spritelora.evaluation.validation import DrawnSet
from spritelora.long_work import Progress
from spritelora.program import typed
from spritelora.runs.output import begin

log = logging.getLogger(__name__)


def keep_images(output: Path, studio: Studio, config: ValidateConfig, words: Sequence[str]) -> KeptImages:
    """The images that are there from a validation that was stopped. `words`: of the command line."""
    return KeptImages(
        output,
        studio.identity,
        lambda: begin(output, LOG, config, replaces=config.overwrite),
        typed("validate", *words) if words else "the same command",
    )


def draw_strengths(
    studio: Studio, judge: Judge, strengths: list[float], batch_size: int, kept: KeptImages
) -> dict[float, DrawnSet]:
    """The measured images of each strength, 0 being the base, all from the one UNet."""
    drawn: dict[float, DrawnSet] = {}
    total = len(judge.prompts) * len(strengths)
    listed = ", ".join(f"strength {s:g}" if s else "the base model" for s in strengths)
    log.info("%d images: %d with each of %s", total, len(judge.prompts), listed)
    with kept.told_when_stopped(total), Progress(total, "image", "drawing") as progress:
        for strength in strengths:
            try:
                drawn[strength] = judge.measure(studio.draw(strength, batch_size, kept, progress))
            except WeightsError as error:
                raise WeightsError(f"at strength {strength:g}: {error}") from error
    return drawn
