"""Validates a LoRA: draws with it and with its base from one UNet, measures both and writes what that says."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spritelora.commands.train.record import warn_of_base
from spritelora.commands.validate import settings as settle
from spritelora.commands.validate.judge import open_judge
from spritelora.commands.validate.strengths import draw_strengths, keep_images
from spritelora.commands.validate.wandb_report import log_validation
from spritelora.commands.validate.write import PAGE, told_of, write_validation
from spritelora.config.commands.validate import ValidateConfig
from spritelora.data.cache import Cache
from spritelora.data.training_set import read_training_set
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.drawing.source import find_source
from spritelora.drawing.studio import open_studio
from spritelora.drawing.subject import settle_subject
from spritelora.errors import ConfigError
from spritelora.evaluation.colour_distance import ColourTarget, profiles_of
from spritelora.evaluation.validation import (
    Validation,
    best_strength,
    changes_nothing,
)
from spritelora.reports.answers import Answer, answer_questions
from spritelora.runs.output import end
from spritelora.shown import counted, duration
from spritelora.training.hardware import choose_hardware

log = logging.getLogger(__name__)


def validate(config: ValidateConfig, words: Sequence[str] = ()) -> Path:
    """Draw, measure, and write page, record and images. `words`: of the command line. Returns the folder."""
    started = time.perf_counter()
    if config.run is None and not config.loras:
        raise ConfigError("nothing to validate: give run=RUN, or loras=FILE with data.path=FOLDER")
    strengths = settle.settle_strengths(config)
    source = find_source(config.run, config.loras)
    log.info("reading LoRA and sprites and loading the model; then the images are drawn, measured and written")
    output = settle.settle_output(config, source.run_dir)
    subject = settle_subject(source, config.lora_strengths, config.model, config.sampler, config.sampler.seed)
    settle.check_side(config, subject)
    from_file = read_prompts_file(config.prompts_file) if config.prompts_file is not None else []
    data = settle.settle_data(config, source.record)
    side_px, folder = settle.settle_side(config, subject), str(subject.base.folder)
    trained = source.record.data_at(side_px) if source.record else None
    sprites = read_training_set(data, side_px, trained=trained, model_path=folder)
    if note := settle.changed_data(sprites, source.record):
        log.warning("%s", note)
    own = source.settings.sampler.prompts if source.settings else []
    seen, new = settle.choose_prompts(sprites, own, from_file, config.num_prompts)
    number = counted(len(seen) + len(new), "prompt")
    log.info("%s: %d from captions that it was trained on, %d new", number, len(seen), len(new))
    prompts = [p for p in (*seen, *new) for _ in range(config.images_per_prompt)]
    hardware = choose_hardware(config.hardware.device, config.hardware.precision)
    judge = open_judge(sprites, prompts, config.clip, hardware.device)
    cache = Cache(Path(data.cache))
    warn_of_base(subject.base, source.record, cache)
    if config.hardware.threads is not None:
        torch.set_num_threads(config.hardware.threads)
    drawn_at = [*([0.0] if config.compare_base else []), *strengths]
    studio = open_studio(subject, prompts, len(prompts), drawn_at, hardware, cache)
    kept = keep_images(output, studio, config, words)
    by_strength = draw_strengths(studio, judge, drawn_at, config.batch_size, kept)
    validation = Validation(
        prompts=prompts,
        is_seen=np.arange(len(prompts)) < len(seen) * config.images_per_prompt,
        base=by_strength.pop(0.0, None),
        by_strength=by_strength,
        max_colours=config.max_colours or judge.usual_colours,
        target=ColourTarget(profiles_of(judge.sprites.natives)),
    )
    told = told_of(config, subject, sprites, hardware, note)
    if told["base_note"]:
        log.warning("%s", told["base_note"])
    told["elapsed_s"] = round(time.perf_counter() - started, 1)
    answers = answer_questions(validation, settle.origin_of(config, subject))
    write_validation(output, subject.title, validation, told, judge.sprites, answers)
    kept.remove()
    end(output, settle.LOG)
    if config.wandb:
        log_validation(config.project, output, subject, validation, told, judge.sprites, answers)
    _announce(validation, answers, output, time.perf_counter() - started)
    return output


def _announce(validation: Validation, answers: Sequence[Answer], output: Path, elapsed_s: float) -> None:
    for answer in answers:
        log.info("%s %s", answer.question, answer.verdict.answer)
        log.info("  %s %s", answer.advised.text, answer.advised.command)
    best = best_strength(validation)
    if changes_nothing(validation):
        log.warning("the LoRA changes nothing: every image is the base's; was it trained?")
    elif len(validation.by_strength) > 1:
        log.info("best strength: %g", best)
    log.info("done in %s: %s", duration(elapsed_s), output / PAGE)
