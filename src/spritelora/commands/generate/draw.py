"""Images for prompts, from a base with or without LoRAs."""

import logging
from collections.abc import Callable
from pathlib import Path

from spritelora.commands.train.record import warn_of_base
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.train.hardware_keys import Precision
from spritelora.data.cache import Cache
from spritelora.drawing.kept_images import KeptImages
from spritelora.drawing.source import Source
from spritelora.drawing.studio import open_studio
from spritelora.drawing.subject import settle_subject
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
) -> list[Pixels]:
    """`count` images for each prompt, prompt by prompt, RGB. `check_side`: raises for a side that does not do.

    `keep`: the images drawn so far, of what draws.
    """
    hardware = choose_hardware(config.device, Precision.auto)
    subject = settle_subject(source, config.lora_strengths, config.model, config.sampler, config.seed)
    check_side(subject.drawing.side_px)
    cache = Cache(Path(config.data.cache))
    warn_of_base(subject.base, source.record, cache)
    wanted = [prompt for prompt in prompts for _ in range(config.count)]
    studio = open_studio(subject, wanted, config.count, [config.strength], hardware, cache)
    for lora, strength in zip(subject.loras, subject.strengths(config.strength), strict=True):
        log.info("%s: %s, strength %g", lora.path, counted(len(lora.everything), "layer"), strength)
    kept = keep(studio.identity)
    with kept.told_when_stopped(len(wanted)), Progress(len(wanted), "image", "drawing") as progress:
        return studio.draw(config.strength, config.sampler.batch_size, kept, progress)
