"""Images for prompts, from a base with or without a LoRA."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from spritelora.adapters.apply import apply_lora
from spritelora.config.generate import GenerateConfig
from spritelora.config.schema import Precision, Prediction
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.sdxl.base import find_base, load_scheduler, load_unet, load_vae, read_prediction
from spritelora.sdxl.embedded import embedded_base
from spritelora.sdxl.latents import decode_latents
from spritelora.sdxl.sample import sample_latents, start_noise
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.image import Pixels
from spritelora.training.hardware import choose_hardware

if TYPE_CHECKING:
    from spritelora.tasks.generate import Source

log = logging.getLogger(__name__)


def draw_images(
    config: GenerateConfig, source: "Source", prompts: list[str], check_side: Callable[[int], None]
) -> list[Pixels]:
    """`count` images for each prompt, prompt by prompt, RGB. `check_side`: raises for a side that does not do."""
    hardware = choose_hardware(config.device, Precision.auto)
    path = config.model.path or source.recorded("model", "path", None)
    vae = config.model.vae or source.recorded("model", "vae", None)
    tokenizer = config.model.tokenizer or source.recorded("model", "tokenizer", None)
    base = find_base(path or str(embedded_base()), vae, tokenizer)
    side_px = config.model.resolution or source.recorded("model", "resolution", 8 * base.config("unet")["sample_size"])
    check_side(side_px)
    unet = load_unet(base, hardware.base_dtype)
    if source.lora is not None:
        num_layers = apply_lora(unet, source.lora, config.strength)
        log.info("%s: %d layers, strength %g", source.lora, num_layers, config.strength)
    unet.eval().to(hardware.device)  # pyright: ignore
    negative_prompt = config.sampler.negative_prompt
    if negative_prompt is None:
        negative_prompt = source.recorded("sampler", "negative_prompt", "")
    encoder = Encoder(base, Cache(Path(config.data.cache).expanduser()), hardware.device)
    texts = encoder.texts([*prompts, negative_prompt])
    negative = texts[negative_prompt]
    if not negative_prompt and base.zeros_for_empty_prompt:
        negative = TextEmbedding(torch.zeros_like(negative.states), torch.zeros_like(negative.pooled))
    steps = config.sampler.steps or source.recorded("sampler", "steps", 25)
    guidance = config.sampler.guidance or source.recorded("sampler", "guidance", 3.0 if path is None else 8.0)
    asked = config.model.prediction or Prediction(source.recorded("model", "prediction", "auto"))
    scheduler = load_scheduler(base, read_prediction(base, asked))
    one_prompt = start_noise(config.seed, config.count, side_px)
    noise = one_prompt.repeat(len(prompts), 1, 1, 1)
    wanted = [texts[p] for p in prompts for _ in range(config.count)]
    latents = []
    for start in tqdm(range(0, len(wanted), config.sampler.batch_size), unit="batch", leave=False, disable=None):
        part = slice(start, start + config.sampler.batch_size)
        latents.append(sample_latents(unet, scheduler, wanted[part], negative, noise[part], steps, guidance))
    return list(decode_latents(load_vae(base, hardware.device), torch.cat(latents)))
