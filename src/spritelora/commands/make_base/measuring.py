"""Measures a base that was trained: its figures, its contact sheets, its card."""

from pathlib import Path

import torch

from spritelora.commands.make_base.figures_of_base import (
    Effort,
    denoising_figures,
    drawing_figures,
    drawn_subjects_figures,
    write_figures,
)
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.embedded.making.base_loop import StepPlan, Trained
from spritelora.embedded.making.card import write_card
from spritelora.embedded.making.exam import too_few_subjects
from spritelora.embedded.making.figures import Sampling
from spritelora.embedded.making.judge import train_judge
from spritelora.embedded.making.real_judge import train_real_judge
from spritelora.embedded.making.teaching import trained_parts
from spritelora.embedded.model.tiny import TinySdxl, write_parts
from spritelora.embedded.model.tiny_sample import load_pipeline
from spritelora.embedded.real.lessons import Lessons
from spritelora.errors import DatasetError, TrainingError
from spritelora.files import JsonObject


def judge_plan(num_steps: int) -> StepPlan:
    """The training of the two classifiers that judge drawn sprites."""
    return StepPlan(num_steps, 2e-3, warmup_steps=50, decay_share=0.7, weight_decay=1e-2)


def measure_base(config: MakeBaseConfig, parts: TinySdxl, lessons: Lessons, state: Path) -> None:
    """Write the figures, the contact sheets and the folder of the weights that training is at."""
    work, output = Path(config.work), Path(config.output)
    if not state.is_file():
        raise TrainingError(f"work={work}: no {state.name} to measure; train there first, without only_figures")
    if lacking := too_few_subjects(lessons):
        raise DatasetError(f"data={config.data}: {lacking}; give the folder with all of the sprites")
    trained = Trained(trained_parts(parts), StepPlan(1, 1.0, 0, 1.0))
    trained.load(state)
    trained.use_average()
    for module in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        module.eval().requires_grad_(False)
    sampling = Sampling(config.samples_per_pair, config.sampling_steps, config.guidance)
    effort = Effort(config.num_questions, config.num_images, sampling)
    figures: JsonObject = {
        "num_steps": trained.num_steps_taken,
        "sampling_steps": config.sampling_steps,
        "guidance": config.guidance,
    }
    figures |= denoising_figures(parts, lessons, effort)
    write_figures(figures, work)
    write_parts(parts, output, torch.float16)
    pipeline = load_pipeline(output, parts.vae.device)
    plan = judge_plan(config.judge_steps)
    judge = train_real_judge(lessons, plan, 64, config.seed, work / "real_judge_state.safetensors")
    figures |= drawing_figures(pipeline, lessons, judge, effort, work)
    write_figures(figures, work)
    drawn_judge = train_judge(plan, 128, config.seed, work / "judge_state.safetensors")
    figures |= drawn_subjects_figures(pipeline, drawn_judge, sampling, config.seed)
    write_figures(figures, work)
    write_card(output, lessons.packed.records, figures, goes_on=config.start is not None)
