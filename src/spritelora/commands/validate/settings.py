"""What a validation is of and how it draws: settled from the command, the run's record and the LoRA files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.adapters.files.bases import require_sdxl
from spritelora.adapters.files.lora_file import LoraFile, read_lora_file
from spritelora.config.commands.validate import ValidateConfig
from spritelora.config.train.data_keys import DataConfig
from spritelora.config.train.schema import ModelConfig, SamplerConfig
from spritelora.data.training_set import TrainingSet
from spritelora.drawing.subject import (
    USUAL_GUIDANCE,
    USUAL_STEPS,
    Drawing,
    find_checkpoint,
    model_of,
    resolution_of,
    settle_weights,
)
from spritelora.errors import ConfigError
from spritelora.runs.layout import LORA_FILE, VALIDATION, is_run
from spritelora.runs.output import is_occupied
from spritelora.runs.record import RunRecord
from spritelora.sprites.split import choose_subset

log = logging.getLogger(__name__)

PAGE, IMAGES, LOG = "validation.html", "images", "validate.log"
PROMPT_SEED = 0


@dataclass(frozen=True)
class Subject:
    """The LoRAs to validate, the record of the run they came from, if any, and where to write.

    `run`: the folder of that run, or of one of its checkpoints.
    """

    loras: list[LoraFile]
    weights: list[float]
    record: RunRecord | None
    output: Path
    run: str | None = None

    @property
    def title(self) -> str:
        return " + ".join(lora.title for lora in self.loras)


def find_subject(config: ValidateConfig) -> Subject:
    """Read the LoRAs. Raises ConfigError or WeightsError where settings, run or files do not fit."""
    if config.run is None and not config.lora:
        raise ConfigError("nothing to validate: give run=RUN, or lora=FILE with data.path=FOLDER")
    record, run_dir, files = None, None, [Path(name) for name in config.lora]
    if config.run is not None:
        source = Path(config.run)
        checkpoint = find_checkpoint(source)
        run_dir = source if is_run(source) else source.parent
        record = RunRecord.read(source if is_run(source) else checkpoint)
        files = files or [checkpoint / LORA_FILE]
    weights = settle_weights(config.weights, files)
    loras = [read_lora_file(file) for file in files]
    for lora in loras:
        require_sdxl(lora)
    return Subject(loras, weights, record, _settle_output(config, run_dir), config.run)


def _settle_output(config: ValidateConfig, run_dir: Path | None) -> Path:
    if config.output is None and run_dir is None:
        raise ConfigError("output is not set: name the folder to write, output=validation")
    output = Path(config.output) if config.output is not None else Path(str(run_dir)) / "validation"
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; name a folder")
    if is_occupied(output, LOG) and not (output / VALIDATION).is_file():
        raise ConfigError(f"output={output} holds other files; name a new folder, or that of an earlier validation")
    if (output / VALIDATION).is_file() and not config.overwrite:
        raise ConfigError(f"output={output} holds a validation; name another folder, or replace it: overwrite=true")
    return output


def settle_strengths(config: ValidateConfig) -> list[float]:
    """The strengths to draw with, in order. Raises ConfigError for those that make no sense."""
    strengths = sorted({config.strength} if config.strength is not None else set(config.strengths))
    if not 0 < strengths[0] <= strengths[-1] <= 10:
        raise ConfigError(f"strengths must be above 0 and at most 10, got {', '.join(f'{s:g}' for s in strengths)}")
    return strengths


def settle_drawing(config: ValidateConfig, subject: Subject) -> Drawing:
    """Model and sampler: as typed, else the run's, else as the LoRA file says. Raises ConfigError where none does."""
    trained = subject.record.settings if subject.record else None
    model = trained.model if trained else ModelConfig(resolution=config.model.resolution or 0)
    sampler = trained.sampler if trained else SamplerConfig(steps=USUAL_STEPS, guidance=USUAL_GUIDANCE)
    typed = config.sampler
    return Drawing(
        model=config.model.path or model_of(subject.record, subject.loras),
        vae=config.model.vae or model.vae,
        tokenizer=config.model.tokenizer or model.tokenizer,
        side_px=config.model.resolution or model.resolution or _resolution_of(subject.loras[0]),
        prediction=model.prediction,
        steps=typed.steps or sampler.steps,
        guidance=typed.guidance or sampler.guidance,
        negative_prompt=sampler.negative_prompt if typed.negative_prompt is None else typed.negative_prompt,
        seed=sampler.seed if typed.seed is None else typed.seed,
        zero_snr=model.zero_terminal_snr,
    )


def _resolution_of(lora: LoraFile) -> int:
    side_px = resolution_of(lora)
    if side_px is None:
        raise ConfigError(f"model.resolution is not set, and {lora.path} does not say at which it was trained")
    return side_px


def settle_data(config: ValidateConfig, record: RunRecord | None) -> DataConfig:
    """The sprites that the LoRA was trained on. Raises ConfigError where nothing says which."""
    typed = config.data
    if record is None:
        if typed.path is None:
            raise ConfigError("data.path is not set: name the folder of sprites that the LoRA was trained on")
        return DataConfig(path=typed.path, holdout=0, cache=typed.cache or DataConfig().cache)
    trained = record.settings.data
    return DataConfig(
        path=typed.path or trained.path,
        sets={} if typed.path else trained.sets,
        limit=trained.limit,
        holdout=trained.holdout,
        split=trained.split,
        cache=typed.cache or trained.cache,
    )


def changed_data(sprites: TrainingSet, record: RunRecord | None) -> str | None:
    """What to say where the sprites are not those of the run's record, or were shown to it in another way."""
    if record is None:
        return None
    if record.data.hash != sprites.hash:
        return "the sprites or captions are not quite those the run was trained on: they were changed since"
    before, now = record.data.views.get("sprites"), sprites.views.get("sprites")
    is_same_size = sprites.training[0].fit.canvas[0] == record.settings.model.resolution
    if before == now or not is_same_size or (before is None and sprites.is_as_stored):
        return None
    return (
        "the run was trained with these images enlarged or placed in another way than their manifest says now: "
        "measures of the grid may be off"
    )


def choose_prompts(
    sprites: TrainingSet, own: Sequence[str], from_file: Sequence[str], most: int
) -> tuple[list[str], list[str]]:
    """Prompts from the training captions, a seeded choice, and new ones: at most `most` of each, but all of a file's.

    `own`: the run's sample prompts, after which come the held-out captions. None of the new is a training caption.
    """
    captions = list(dict.fromkeys(s.caption for s in sprites.training))
    known = set(captions)
    if seen_too := [p for p in from_file if p in known]:
        log.warning("not new, for training captions: %s", "; ".join(seen_too))
    offered = from_file or [*own, *(s.caption for s in sprites.held_out)]
    new = [p for p in dict.fromkeys(offered) if p not in known]
    return choose_subset(captions, most, PROMPT_SEED), new if from_file else new[:most]
