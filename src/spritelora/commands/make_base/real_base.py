"""Makes the base that knows real sprites: packs the data, trains, writes the folder."""

import copy
import logging
import time
from pathlib import Path

import torch

from spritelora.commands.make_base.real_figures import Effort, denoising_figures, drawing_figures, write_figures
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.config.durations import parse_duration
from spritelora.embedded.location import embedded_base
from spritelora.embedded.making.base_loop import StepPlan, Trained
from spritelora.embedded.making.denoiser import initialise_unet
from spritelora.embedded.making.real_card import write_real_card
from spritelora.embedded.making.real_judge import train_real_judge
from spritelora.embedded.making.teaching import Teacher, teach, trained_parts
from spritelora.embedded.model.network import build_network, load_vae
from spritelora.embedded.model.tiny import TinySdxl, load_denoiser, write_parts
from spritelora.embedded.model.tiny_sample import load_pipeline
from spritelora.embedded.real.lessons import Lessons
from spritelora.embedded.real.packs import read_packed
from spritelora.embedded.real.records import PackedSet
from spritelora.embedded.real.wording import all_words
from spritelora.errors import TrainingError
from spritelora.files import JsonObject

logger = logging.getLogger(__name__)

PACKED, STATE = "sprites.safetensors", "teaching_state.safetensors"
"""In the work folder: all real sprites, and where training is."""

SAVE_EVERY_S = 600

DECAY_SHARE = 0.3
"""The rate stays until then, so that a plan can be made shorter at any step before."""


def make_real_base(config: MakeBaseConfig, data: Path) -> None:
    """Train, going on from what the work folder holds, until the last step or the time limit, then write the folder."""
    limit_s = None if config.max_time is None else parse_duration(config.max_time)
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    packed = read_packed(work / PACKED, data)
    parts = start_parts(config, packed, device)
    if config.only_figures:
        measure_real_base(config, parts, Lessons(packed), work)
        return
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

    is_bf16 = device.type == "cuda" if config.bf16 is None else config.bf16
    teacher = Teacher(parts, Lessons(packed), config.seed, config.cells_a_step, is_bf16)
    is_done = teach(teacher, plan, work / STATE, is_time_up)
    write_parts(copy.deepcopy(parts), Path(config.output), torch.float16)
    logger.info("%s: %s", "done" if is_done else "time is up, the same command goes on", config.output)


def measure_real_base(config: MakeBaseConfig, parts: TinySdxl, lessons: Lessons, work: Path) -> None:
    """Write the figures, the contact sheets and the folder of the weights that training is at."""
    if not (work / STATE).is_file():
        raise TrainingError(f"work={work}: no {STATE} to measure; train there first, without only_figures")
    trained = Trained(trained_parts(parts), StepPlan(1, 1.0, 0, 1.0))
    trained.load(work / STATE)
    trained.use_average()
    for module in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        module.eval().requires_grad_(False)
    effort = Effort(config.num_questions, config.num_images, config.sampling_steps, config.guidance)
    figures: JsonObject = {"num_steps": trained.num_steps_taken}
    figures |= denoising_figures(parts, lessons, effort)
    write_figures(figures, work)
    judge_plan = StepPlan(config.judge_steps, 2e-3, warmup_steps=50, decay_share=0.7, weight_decay=1e-2)
    judge = train_real_judge(lessons, judge_plan, 64, config.seed, work / "real_judge_state.safetensors")
    write_parts(parts, Path(config.output), torch.float16)
    pipeline = load_pipeline(Path(config.output), parts.vae.device)
    figures |= drawing_figures(pipeline, lessons, judge, effort, work)
    write_figures(figures, work)
    write_real_card(Path(config.output), lessons.packed.records, figures)


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
