"""Images for prompts, from a base with or without LoRAs."""

import logging
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from spritelora.adapters.files.bases import require_sdxl
from spritelora.adapters.files.lora_file import LoraFile, read_lora_file
from spritelora.adapters.layers.earlier_files import lay_recorded
from spritelora.commands.generate.source import Source
from spritelora.commands.train.record import warn_of_base
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.train.hardware_keys import Precision
from spritelora.config.train.schema import Prediction
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.drawing.studio import open_studio
from spritelora.drawing.subject import (
    USUAL_GUIDANCE,
    USUAL_STEPS,
    Drawing,
    model_of,
    resolution_of,
    settle_weights,
)
from spritelora.embedded.location import embedded_base
from spritelora.files import is_same
from spritelora.sdxl.files.base import BaseModel, Unet, find_base
from spritelora.sdxl.sample import start_noise
from spritelora.sprites.pixels.image import Pixels
from spritelora.training.hardware import choose_hardware

log = logging.getLogger(__name__)

EMBEDDED_GUIDANCE = 3.0


def draw_images(
    config: GenerateConfig, source: Source, prompts: list[str], check_side: Callable[[int], None]
) -> list[Pixels]:
    """`count` images for each prompt, prompt by prompt, RGB. `check_side`: raises for a side that does not do."""
    hardware = choose_hardware(config.device, Precision.auto)
    weights = settle_weights(config.weights, source.loras)
    loras = [read_lora_file(file) for file in source.loras]
    for lora in loras:
        require_sdxl(lora)
    knows_base = source.record is not None or loras
    path = config.model.path or (model_of(source.record, loras) if knows_base else str(embedded_base()))
    vae = config.model.vae or source.recorded("model", "vae", None)
    base = find_base(path, vae, config.model.tokenizer or source.recorded("model", "tokenizer", None))
    drawing = settle_drawing(config, source, loras, base)
    check_side(drawing.side_px)
    cache = Cache(Path(config.data.cache))
    warn_of_base(base, source.record, cache)
    encoder = Encoder(base, cache, hardware.device)
    wanted = [prompt for prompt in prompts for _ in range(config.count)]
    noise = start_noise(drawing.seed, config.count, drawing.side_px).repeat(len(prompts), 1, 1, 1)
    strengths = tuple(config.strength * weight for weight in weights)
    size = config.sampler.batch_size

    def lay(unet: Unet) -> None:
        lay_recorded(unet, source.record, base.name)

    studio = open_studio(drawing, base, encoder, wanted, noise, hardware, size, None, loras, [strengths], lay)
    for lora, strength in zip(loras, strengths, strict=True):
        log.info("%s: %d layers, strength %g", lora.path, len(lora.everything), strength)
    with tqdm(total=len(wanted), unit="image", leave=False, disable=None) as bar:
        return studio.draw(strengths, bar.update)


def settle_drawing(config: GenerateConfig, source: Source, loras: list[LoraFile], base: BaseModel) -> Drawing:
    """As typed, else as the run drew its samples, else as the LoRA file or the base says."""
    typed, is_embedded = config.sampler, is_same(base.folder, embedded_base())
    negative = typed.negative_prompt
    own_side = config.model.resolution or source.recorded("model", "resolution", None)
    return Drawing(
        model=base.name,
        side_px=own_side or (resolution_of(loras[0]) if loras else None) or 8 * base.config("unet")["sample_size"],
        prediction=config.model.prediction or Prediction(source.recorded("model", "prediction", "auto")),
        steps=typed.steps or source.recorded("sampler", "steps", USUAL_STEPS),
        guidance=typed.guidance
        or source.recorded("sampler", "guidance", EMBEDDED_GUIDANCE if is_embedded else USUAL_GUIDANCE),
        negative_prompt=source.recorded("sampler", "negative_prompt", "") if negative is None else negative,
        seed=config.seed,
        zero_snr=source.recorded("model", "zero_terminal_snr", None),
    )
