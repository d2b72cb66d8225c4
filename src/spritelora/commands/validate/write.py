"""The files of a validation: its images, its record and its page."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from spritelora.config.commands.validate import ValidateConfig
from spritelora.data.training_set import TrainingSet
from spritelora.drawing.subject import Subject
from spritelora.embedded.reach import reach_note
from spritelora.errors import TrainingError
from spritelora.evaluation.colour_distance import pack_colours
from spritelora.evaluation.validation import Validation
from spritelora.evaluation.validation_record import make_record
from spritelora.files import JsonObject, public_name, write_whole
from spritelora.program import without_checkout
from spritelora.reports.answers import Answer
from spritelora.reports.validation_page import PageSprites, make_page
from spritelora.runs.layout import COLOUR_PROFILES, VALIDATION
from spritelora.sprites.names import image_name
from spritelora.sprites.pixels.placement import pair_text
from spritelora.training.hardware import Hardware

PAGE, IMAGES = "validation.html", "images"


def told_of(
    config: ValidateConfig, subject: Subject, sprites: TrainingSet, hardware: Hardware, note: str | None
) -> JsonObject:
    """The settings of the drawing, for the record."""
    drawing = subject.drawing
    beyond = reach_note(subject.base.folder, (sprite.fit for sprite in sprites.training))
    return {
        "run": public_name(config.run) if config.run is not None else None,
        "lora": [public_name(str(lora.path), Path(config.run) if config.run else None) for lora in subject.loras],
        "weights": subject.weights,
        "model": subject.base.title,
        "resolution": drawing.size[0] if drawing.size[0] == drawing.size[1] else pair_text(drawing.size),
        "steps": drawing.steps,
        "guidance": drawing.guidance,
        "negative_prompt": drawing.negative_prompt,
        "seed": drawing.seed,
        "images_per_prompt": config.images_per_prompt,
        "precision": hardware.precision.value,
        "hardware": hardware.name,
        "pixels_to_a_sprite_pixel": sprites.factor,
        "training_sprites": len(sprites.training),
        "base_note": beyond and without_checkout(beyond),
        "data": {"hash": sprites.hash, "note": note},
        "clip": public_name(config.clip) if config.clip is not None else None,
    }


def write_validation(
    output: Path,
    title: str,
    validation: Validation,
    told: Mapping[str, Any],
    sprites: PageSprites,
    answers: Sequence[Answer],
) -> None:
    """Write the images, in the place of those of an earlier validation, the record, and last the page."""
    try:
        if (output / VALIDATION).is_file():
            shutil.rmtree(output / IMAGES, ignore_errors=True)
        sets = {"base": validation.base, **{f"{s:g}": drawn for s, drawn in validation.by_strength.items()}}
        for name, drawn in sets.items():
            folder = output / IMAGES / name
            if drawn is not None:
                folder.mkdir(parents=True, exist_ok=True)
                for number, (image, prompt) in enumerate(zip(drawn.images, validation.prompts, strict=True)):
                    Image.fromarray(image).save(folder / image_name(number, prompt))
        profiles = {strength: drawn.profiles for strength, drawn in validation.by_strength.items()}
        write_whole(output / COLOUR_PROFILES, pack_colours(profiles, validation.target))
        record = make_record(validation, told, [answer.record for answer in answers])
        write_whole(output / VALIDATION, json.dumps(record, indent=1) + "\n")
        write_whole(output / PAGE, make_page(title, validation, told, sprites, answers))
    except OSError as error:
        raise TrainingError(f"{error.filename or output}: {error.strerror}; name another folder: output=") from error
