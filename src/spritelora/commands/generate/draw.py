"""Images for prompts, from a base with or without LoRAs."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from spritelora.commands.generate.native_sides import drawn_size, warn_of_scale
from spritelora.commands.train.record import warn_of_base
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.train.hardware_keys import Precision
from spritelora.data.cache import Cache
from spritelora.drawing.kept_images import KeptImages
from spritelora.drawing.source import Source
from spritelora.drawing.studio import open_studio
from spritelora.drawing.subject import settle_subject
from spritelora.evaluation.validation_record import best_strength_of
from spritelora.long_work import Progress
from spritelora.shown import counted
from spritelora.sprites.pixels.image import Pixels
from spritelora.training.hardware import choose_hardware

log = logging.getLogger(__name__)


def draw_images(
    config: GenerateConfig,
    source: Source,
    prompts: list[str],
    check_side: Callable[[int], None],
    keep: Callable[[dict[str, object]], KeptImages],
) -> tuple[list[Pixels], list[Mapping[str, str]]]:
    """`count` images for each prompt, prompt by prompt, RGB, and the metadata of each LoRA.

    `check_side`: raises for a side that does not do. `keep`: the images drawn so far, of what draws.
    """
    hardware = choose_hardware(config.device, Precision.auto)
    strength = settle_strength(config.strength, source)
    subject = settle_subject(source, config.lora_strengths, config.model, config.sampler, config.seed)
    size = drawn_size(config.native_size, subject.drawing.size)
    subject = replace(subject, drawing=replace(subject.drawing, size=size))
    check_side(size[0])
    warn_of_scale(config.native_size, size, source.record.data.factor if source.record else None)
    cache = Cache(Path(config.data.cache))
    warn_of_base(subject.base, source.record, cache)
    wanted = [prompt for prompt in prompts for _ in range(config.count)]
    studio = open_studio(subject, wanted, config.count, [strength], hardware, cache)
    for lora, of_lora in zip(subject.loras, subject.strengths(strength), strict=True):
        log.info("%s: %s, strength %g", lora.path, counted(len(lora.everything), "layer"), of_lora)
    kept = keep(studio.identity)
    with kept.told_when_stopped(len(wanted)), Progress(len(wanted), "image", "drawing") as progress:
        images = studio.draw(strength, config.sampler.batch_size, kept, progress)
    return images, [lora.metadata for lora in subject.loras]


def settle_strength(asked: float | None, source: Source) -> float:
    """The strength as asked for, else the best of the run's newest validation, else 1.

    Raises WeightsError where the record of that validation is damaged.
    """
    if asked is not None:
        return asked
    best = best_strength_of(source.run_dir) if source.run_dir is not None and source.is_own else None
    if best is None:
        return 1.0
    log.info("strength %g: the best that validation found; strength=1 draws as trained", best)
    return best
