"""Makes the embedded base: packs the sprites, trains, measures, writes the folder with its card."""

import copy
import logging
import time
from functools import partial
from pathlib import Path

import torch

from spritelora.commands.make_base.measuring import measure_base
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.config.durations import parse_duration
from spritelora.embedded.making.base_loop import StepPlan
from spritelora.embedded.making.denoiser import initialise_unet
from spritelora.embedded.making.drawn_set import WHITENED_STREAM, draw_sprites
from spritelora.embedded.making.shared_steps import joined_by
from spritelora.embedded.making.teaching import Teacher, teach
from spritelora.embedded.model.network import build_network, load_base
from spritelora.embedded.model.tiny import TinySdxl, write_parts
from spritelora.embedded.model.tiny_latents import encode_sprites
from spritelora.embedded.model.tiny_vae import whiten_latents
from spritelora.embedded.real.canvases import CANVASES
from spritelora.embedded.real.lessons import Lessons
from spritelora.embedded.real.packs import read_packed
from spritelora.embedded.real.records import PackedSet
from spritelora.embedded.real.wording import all_words
from spritelora.errors import ConfigError
from spritelora.sdxl.layers.compiling import compiler_errors

logger = logging.getLogger(__name__)

PACKED, STATE = "sprites.safetensors", "teaching_state.safetensors"
"""In the work folder: all real sprites, and where training is."""

SAVE_EVERY_S = 600

DECAY_SHARE = 0.3
"""The rate stays until then, so that a plan can be made shorter at any step before."""

NUM_WHITENED = 1024


def make_base(config: MakeBaseConfig) -> None:
    """Train, going on from what the work folder holds, until the last step or the time limit, then write the folder."""
    Path(config.work).mkdir(parents=True, exist_ok=True)
    packed = read_packed(Path(config.work) / PACKED, Path(config.data))
    if config.only_figures:
        measure_base(config, start_parts(config, packed), Lessons(packed), Path(config.work) / STATE)
        return
    fewest_cells = config.processes * max(canvas.num_cells for canvas in CANVASES)
    if config.processes > 1 and config.cells_a_step < fewest_cells:
        raise ConfigError(
            f"processes={config.processes}: each needs a sprite of every step, also of the largest; take "
            f"cells_a_step={fewest_cells} or more, got {config.cells_a_step}, or fewer processes"
        )
    task = partial(train_base, config, packed)
    with joined_by(config.processes - 1, task):
        parts, is_done = task()
    write_parts(copy.deepcopy(parts), Path(config.output), torch.float16)
    logger.info("%s: %s", "done" if is_done else "time is up, the same command goes on", config.output)


def train_base(config: MakeBaseConfig, packed: PackedSet) -> tuple[TinySdxl, bool]:
    """Train this process's share. Returns the parts with their averaged weights, and whether the last step is done."""
    started = time.monotonic()
    limit_s = None if config.max_time is None else parse_duration(config.max_time)
    parts = start_parts(config, packed)
    plan = StepPlan(
        config.num_steps,
        config.learning_rate,
        warmup_steps=300,
        decay_share=DECAY_SHARE,
        weight_decay=1e-3,
        save_every_s=SAVE_EVERY_S,
        save_every=1000,
        log_every=25,
    )

    def is_time_up() -> bool:
        return limit_s is not None and time.monotonic() - started > limit_s

    if config.compile:
        parts.unet.compile(dynamic=False)
    is_bf16 = parts.vae.device.type == "cuda" if config.bf16 is None else config.bf16
    teacher = Teacher(parts, Lessons(packed), config.seed, config.cells_a_step, is_bf16)
    with compiler_errors("compile"):
        return parts, teach(teacher, plan, Path(config.work) / STATE, is_time_up)


def start_parts(config: MakeBaseConfig, packed: PackedSet) -> TinySdxl:
    """The parts before the first step, on the device."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = build_network(config.seed, all_words(packed.records))
    if config.start is None:
        initialise_unet(parts.unet)
        parts.vae.eval().requires_grad_(False)
        drawn = draw_sprites(NUM_WHITENED, config.seed, WHITENED_STREAM, [])
        whiten_latents(parts.vae, encode_sprites(parts.vae, drawn.pixels))
    else:
        load_base(parts, Path(config.start))
    for module in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        module.to(device).train()
    parts.vae.to(device)
    return parts
