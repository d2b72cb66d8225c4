"""Validates a LoRA: draws with it and with its base from one UNet, measures both and writes what that says."""

import logging
import time
from pathlib import Path

import numpy as np
import torch

from spritelora.commands.train.announce import duration
from spritelora.commands.train.record import warn_of_base
from spritelora.commands.validate import settings as settle
from spritelora.commands.validate.judge import Judge, open_judge
from spritelora.commands.validate.wandb_report import log_validation
from spritelora.commands.validate.write import PAGE, told_of, write_validation
from spritelora.config.commands.validate import ValidateConfig
from spritelora.data.cache import Cache
from spritelora.data.training_set import read_training_set
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.drawing.source import find_source
from spritelora.drawing.studio import Studio, open_studio
from spritelora.drawing.subject import settle_subject
from spritelora.errors import ConfigError, WeightsError
from spritelora.evaluation.colour_distance import ColourTarget, profiles_of
from spritelora.evaluation.validation import (
    DrawnSet,
    Validation,
    answer_questions,
    best_strength,
    changes_nothing,
)
from spritelora.runs.output import begin, end
from spritelora.training.hardware import choose_hardware

log = logging.getLogger(__name__)


def validate(config: ValidateConfig) -> Path:
    """Draw, measure, and write page, record and images. Returns the folder."""
    started = time.perf_counter()
    if config.run is None and not config.lora:
        raise ConfigError("nothing to validate: give run=RUN, or lora=FILE with data.path=FOLDER")
    strengths = settle.settle_strengths(config)
    source = find_source(config.run, config.lora)
    output = settle.settle_output(config, source.run_dir)
    subject = settle_subject(source, config.weights, config.model, config.sampler, config.sampler.seed)
    settle.check_side(config, subject)
    from_file = read_prompts_file(config.prompts_file) if config.prompts_file is not None else []
    data = settle.settle_data(config, source.record)
    side_px = subject.drawing.side_px
    sprites = read_training_set(data, side_px, trained=source.record.data_at(side_px) if source.record else None)
    if note := settle.changed_data(sprites, source.record):
        log.warning("%s", note)
    own = source.settings.sampler.prompts if source.settings else []
    seen, new = settle.choose_prompts(sprites, own, from_file, config.num_prompts)
    prompts = [p for p in (*seen, *new) for _ in range(config.images_per_prompt)]
    hardware = choose_hardware(config.hardware.device, config.hardware.precision)
    judge = open_judge(sprites, prompts, config.clip, hardware.device)
    cache = Cache(Path(data.cache))
    warn_of_base(subject.base, source.record, cache)
    if config.hardware.threads is not None:
        torch.set_num_threads(config.hardware.threads)
    drawn_at = [*([0.0] if config.compare_base else []), *strengths]
    studio = open_studio(subject, prompts, len(prompts), drawn_at, hardware, cache)
    by_strength = _draw_all(studio, judge, drawn_at, config.batch_size)
    validation = Validation(
        prompts=prompts,
        is_seen=np.arange(len(prompts)) < len(seen) * config.images_per_prompt,
        base=by_strength.pop(0.0, None),
        by_strength=by_strength,
        max_colours=config.max_colours or judge.usual_colours,
        target=ColourTarget(profiles_of(judge.sprites.natives)),
    )
    told = told_of(config, subject, sprites, hardware, note)
    told["elapsed_s"] = round(time.perf_counter() - started, 1)
    begin(output, settle.LOG, config)
    write_validation(output, subject.title, validation, told, judge.sprites)
    end(output, settle.LOG)
    if config.wandb:
        log_validation(config.project, output, subject, validation, told, judge.sprites)
    _announce(validation, output, time.perf_counter() - started)
    return output


def _draw_all(studio: Studio, judge: Judge, strengths: list[float], batch_size: int) -> dict[float, DrawnSet]:
    """The measured images of each strength, 0 being the base, all from the one UNet."""
    from tqdm import tqdm

    drawn: dict[float, DrawnSet] = {}
    with tqdm(total=len(judge.prompts) * len(strengths), unit="image", leave=False, disable=None) as bar:
        for strength in strengths:
            bar.set_description(f"strength {strength:g}" if strength else "base")
            try:
                drawn[strength] = judge.measure(studio.draw(strength, batch_size, bar.update))
            except WeightsError as error:
                raise WeightsError(f"at strength {strength:g}: {error}") from error
    return drawn


def _announce(validation: Validation, output: Path, elapsed_s: float) -> None:
    for answer in answer_questions(validation):
        log.info("%s %s. %s", answer.question, answer.answer, answer.numbers)
    best = best_strength(validation)
    if changes_nothing(validation):
        log.warning("the LoRA changes nothing: every image is the base's; was it trained?")
    elif len(validation.by_strength) > 1:
        log.info("best strength: %g", best)
    log.info("done in %s: %s", duration(elapsed_s), output / PAGE)
