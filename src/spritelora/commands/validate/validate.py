"""Validates a LoRA: draws with it and with its base from one UNet, measures both and writes what that says."""

import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spritelora.adapters.layers.earlier_files import lay_recorded
from spritelora.commands.train.announce import duration
from spritelora.commands.train.record import warn_of_base
from spritelora.commands.validate import settings as settle
from spritelora.commands.validate.wandb_report import log_validation
from spritelora.config.commands.validate import ValidateConfig
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.drawing.adapted_text import Strengths
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.drawing.studio import Studio, open_studio
from spritelora.drawing.subject import Drawing
from spritelora.errors import TrainingError, WeightsError
from spritelora.evaluation.clip import ClipScorer, load_clip
from spritelora.evaluation.colour_distance import ColourTarget, pack_colours, profiles_of
from spritelora.evaluation.colours import count_visible_colours, palette_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import Reference
from spritelora.evaluation.memorisation import SpriteIndex
from spritelora.evaluation.native_sprites import native_sprites, wanted_grid
from spritelora.evaluation.validation import (
    DrawnSet,
    Validation,
    answer_questions,
    best_strength,
    changes_nothing,
    measure_set,
)
from spritelora.evaluation.validation_record import make_record
from spritelora.file_names import safe_name
from spritelora.files import public_name, write_whole
from spritelora.reports.validation_page import PageSprites, make_page
from spritelora.runs.layout import COLOUR_PROFILES, VALIDATION
from spritelora.runs.output import begin, end
from spritelora.sdxl.files.base import BaseModel, find_base
from spritelora.sdxl.sample import start_noise
from spritelora.sprites.names import slug
from spritelora.sprites.pixels.image import Pixels
from spritelora.training.hardware import Hardware, choose_hardware

log = logging.getLogger(__name__)

USUAL_COLOURS = 16


@dataclass(frozen=True)
class Judge:
    """What images are measured with."""

    reference: Reference
    grid: Grid | None
    prompts: list[str]
    clip: ClipScorer | None

    def measure(self, images: list[Pixels]) -> DrawnSet:
        """Every metric of images, one for each prompt."""
        scores = self.clip.score(images, self.prompts) if self.clip else None
        return measure_set(images, self.reference, self.grid, scores)


def validate(config: ValidateConfig) -> Path:
    """Draw, measure, and write page, record and images. Returns the folder."""
    started = time.perf_counter()
    strengths = settle.settle_strengths(config)
    subject = settle.find_subject(config)
    drawing = settle.settle_drawing(config, subject)
    from_file = read_prompts_file(config.prompts_file) if config.prompts_file is not None else []
    base = find_base(drawing.model, drawing.vae, drawing.tokenizer)
    data = settle.settle_data(config, subject.record)
    sprites = read_training_set(data, drawing.side_px, trained=subject.record.data if subject.record else None)
    if note := settle.changed_data(sprites, subject.record):
        log.warning("%s", note)
    own = subject.record.settings.sampler.prompts if subject.record else []
    seen, new = settle.choose_prompts(sprites, own, from_file, config.num_prompts)
    prompts = [p for p in (*seen, *new) for _ in range(config.images_per_prompt)]
    hardware = choose_hardware(config.hardware.device, config.hardware.precision)
    natives = native_sprites(sprites)
    clip = load_clip(config.clip, hardware.device) if config.clip else None
    reference = Reference(palette_of(natives), SpriteIndex(natives, sprites.matte))
    judge = Judge(reference, wanted_grid(sprites), prompts, clip)
    cache = Cache(Path(data.cache))
    warn_of_base(base, subject.record, cache)
    encoder = Encoder(base, cache, hardware.device)
    noise = start_noise(drawing.seed, len(prompts), drawing.side_px)
    settings = {s: tuple(s * w for w in subject.weights) for s in [*([0.0] if config.compare_base else []), *strengths]}
    studio = open_studio(
        drawing,
        base,
        encoder,
        prompts,
        noise,
        hardware,
        config.batch_size,
        config.hardware.threads,
        subject.loras,
        list(settings.values()),
        lambda unet: None if config.lora else lay_recorded(unet, subject.record, base.name),
    )
    by_strength = _draw_all(studio, judge, settings)
    validation = Validation(
        prompts=prompts,
        is_seen=np.arange(len(prompts)) < len(seen) * config.images_per_prompt,
        base=by_strength.pop(0.0, None),
        by_strength=by_strength,
        max_colours=config.max_colours or max(USUAL_COLOURS, *map(count_visible_colours, natives)),
        target=ColourTarget(profiles_of(natives)),
    )
    told = _told(config, subject, drawing, base, sprites, hardware, note)
    told["elapsed_s"] = round(time.perf_counter() - started, 1)
    pages = PageSprites(natives, [s.caption for s in sprites.training], reference.palette)
    begin(subject.output, settle.LOG, config)
    _write(subject.output, subject.title, validation, told, pages, config.overwrite)
    end(subject.output, settle.LOG)
    if config.wandb:
        log_validation(config.project, subject, validation, told, pages)
    _announce(validation, subject.output, time.perf_counter() - started)
    return subject.output


def _draw_all(studio: Studio, judge: Judge, settings: dict[float, Strengths]) -> dict[float, DrawnSet]:
    """The measured images of each strength, 0 being the base, all from the one UNet."""
    from tqdm import tqdm

    drawn: dict[float, DrawnSet] = {}
    with tqdm(total=len(judge.prompts) * len(settings), unit="image", leave=False, disable=None) as bar:
        for strength, of_each in settings.items():
            bar.set_description(f"strength {strength:g}" if strength else "base")
            try:
                drawn[strength] = judge.measure(studio.draw(of_each, bar.update))
            except WeightsError as error:
                raise WeightsError(f"at strength {strength:g}: {error}") from error
    return drawn


def _told(
    config: ValidateConfig,
    subject: settle.Subject,
    drawing: Drawing,
    base: BaseModel,
    sprites: TrainingSet,
    hardware: Hardware,
    note: str | None,
) -> dict[str, Any]:
    """How it was drawn, for the record."""
    return {
        "run": public_name(config.run) if config.run is not None else None,
        "lora": [public_name(str(lora.path), Path(config.run) if config.run else None) for lora in subject.loras],
        "weights": subject.weights,
        "model": base.title,
        "resolution": drawing.side_px,
        "steps": drawing.steps,
        "guidance": drawing.guidance,
        "negative_prompt": drawing.negative_prompt,
        "seed": drawing.seed,
        "images_per_prompt": config.images_per_prompt,
        "precision": hardware.precision.value,
        "hardware": hardware.name,
        "pixels_to_a_sprite_pixel": sprites.factor,
        "training_sprites": len(sprites.training),
        "data": {"hash": sprites.hash, "note": note},
        "clip": public_name(config.clip) if config.clip is not None else None,
    }


def _write(
    output: Path, title: str, validation: Validation, told: dict[str, Any], sprites: PageSprites, overwrite: bool
) -> None:
    """Write the images, the record, and last the page."""
    try:
        if overwrite and (output / VALIDATION).is_file():
            shutil.rmtree(output / settle.IMAGES, ignore_errors=True)
        sets = {"base": validation.base, **{f"{s:g}": drawn for s, drawn in validation.by_strength.items()}}
        for name, drawn in sets.items():
            folder = output / settle.IMAGES / name
            if drawn is not None:
                folder.mkdir(parents=True, exist_ok=True)
                for number, (image, prompt) in enumerate(zip(drawn.images, validation.prompts, strict=True)):
                    Image.fromarray(image).save(folder / f"{number:02d}_{safe_name(slug(prompt) or 'prompt')}.png")
        profiles = {strength: drawn.profiles for strength, drawn in validation.by_strength.items()}
        write_whole(output / COLOUR_PROFILES, pack_colours(profiles, validation.target))
        record = make_record(validation, told)
        write_whole(output / VALIDATION, json.dumps(record, indent=1) + "\n")
        write_whole(output / settle.PAGE, make_page(title, validation, told, sprites))
    except OSError as error:
        raise TrainingError(f"{error.filename or output}: {error.strerror}; name another folder: output=") from error


def _announce(validation: Validation, output: Path, elapsed_s: float) -> None:
    for answer in answer_questions(validation):
        log.info("%s %s. %s", answer.question, answer.answer, answer.numbers)
    best = best_strength(validation)
    if changes_nothing(validation):
        log.warning("the LoRA changes nothing: every image is the base's; was it trained?")
    elif len(validation.by_strength) > 1:
        log.info("best strength: %g", best)
    log.info("done in %s: %s", duration(elapsed_s), output / settle.PAGE)
