"""Makes the base that knows real sprites: packs the data, trains, writes the folder."""

import copy
import logging
import time
from pathlib import Path

import torch

from spritelora.config.durations import parse_duration
from spritelora.config.make_base import MakeBaseConfig
from spritelora.embedded.lessons import Lessons
from spritelora.embedded.network import build_network, load_vae
from spritelora.embedded.packed import PackedSet, read_packed
from spritelora.embedded.teaching import teach
from spritelora.embedded.wording import all_words
from spritelora.sdxl.embedded import embedded_base
from spritelora.sdxl.tiny import TinySdxl, load_denoiser, write_parts
from spritelora.training.base.denoiser import initialise_unet
from spritelora.training.base.loop import StepPlan

logger = logging.getLogger(__name__)

PACKED, STATE = "sprites.safetensors", "teaching_state.safetensors"
"""In the work folder: all real sprites, and where training is."""

SAVE_EVERY_S = 600


def make_real_base(config: MakeBaseConfig, data: Path) -> None:
    """Train, going on from what the work folder holds, until the last step or the time limit, then write the folder."""
    limit_s = None if config.max_time is None else parse_duration(config.max_time)
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    packed = read_packed(work / PACKED, data)
    parts = start_parts(config, packed, device)
    plan = StepPlan(
        config.num_steps,
        config.learning_rate,
        warmup_steps=300,
        decay_share=0.5,
        weight_decay=1e-3,
        save_every_s=SAVE_EVERY_S,
        save_every=1000,
        log_every=50,
    )

    def is_time_up() -> bool:
        return limit_s is not None and time.monotonic() - started > limit_s

    is_done = teach(parts, Lessons(packed), plan, config.seed, config.cells_a_step, work / STATE, is_time_up)
    write_parts(copy.deepcopy(parts), Path(config.output), torch.float16)
    logger.info("%s: %s", "done" if is_done else "time is up, the same command goes on", config.output)


def start_parts(config: MakeBaseConfig, packed: PackedSet, device: torch.device) -> TinySdxl:
    """The parts before the first step, on the device; the autoencoder is the embedded base's."""
    parts = build_network(config.seed, all_words(packed.records))
    load_vae(parts, embedded_base())
    if config.start is None:
        initialise_unet(parts.unet)
    else:
        load_denoiser(parts, Path(config.start))
    for module in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        module.to(device).train()
    parts.vae.to(device)
    return parts
