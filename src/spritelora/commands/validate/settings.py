"""The set and the folder of a validation, settled from the command and the run's record."""

import logging
from collections.abc import Sequence
from pathlib import Path

from spritelora.config.commands.validate import ValidateConfig
from spritelora.config.fields import is_place
from spritelora.config.overrides import Override, Overrides
from spritelora.config.train.data_keys import DataConfig
from spritelora.config.train.schema import TrainConfig
from spritelora.data.training_set import TrainingSet
from spritelora.drawing.subject import Subject, recorded_side
from spritelora.errors import ConfigError
from spritelora.files import is_hub_id
from spritelora.reports.advice import Origin
from spritelora.runs.layout import VALIDATION
from spritelora.runs.output import is_occupied
from spritelora.runs.record import RunRecord
from spritelora.sprites.split import choose_subset
from spritelora.training.callbacks.checkpoints import checkpoint_step

log = logging.getLogger(__name__)

LOG = "validate.log"
DRAWN, DEFAULTS = ("num_prompts", "strength", "strengths"), ValidateConfig()
"""Keys of what is drawn that a command which draws more keeps, where they are not as they come."""

PROMPT_SEED = 0


def settle_output(config: ValidateConfig, run_dir: Path | None) -> Path:
    """The folder to write. `run_dir`: of the run that is validated. Raises ConfigError where it holds other things."""
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


def check_side(config: ValidateConfig, subject: Subject) -> None:
    """Raise ConfigError where nothing says at which side the LoRA was trained: sprites are compared at that one."""
    if config.model.resolution is None and subject.source.record is None and recorded_side(subject.loras[0]) is None:
        raise ConfigError(
            f"model.resolution is not set, and {subject.loras[0].path} does not say at which it was trained"
        )


def settle_side(config: ValidateConfig, subject: Subject) -> int:
    """The resolution that the sprites are read at: the run's where nothing else is asked for, else of the drawing."""
    settings = subject.source.settings
    return settings.model.side_px if settings and not config.model.resolution else subject.drawing.size[0]


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
        shapes=trained.shapes,
        cache=typed.cache or trained.cache,
    )


def origin_of(config: ValidateConfig, subject: Subject) -> Origin:
    """The words and the run that the answers' commands name; folders as they are seen from the current one."""
    source, record = subject.source, subject.source.record
    words = [f"run={_seen_from_here(config.run)}"] if config.run is not None else []
    if config.loras:
        words.append(f"loras=[{','.join(map(_seen_from_here, config.loras))}]")
    if config.data.path is not None:
        words.append(f"data.path={_seen_from_here(config.data.path)}")
    asked = {name: getattr(config, name) for name in DRAWN if getattr(config, name) != getattr(DEFAULTS, name)}
    drawn = [f"{name}={str(value).replace(' ', '')}" for name, value in asked.items()]
    if config.prompts_file is not None:
        drawn.append(f"prompts_file={_seen_from_here(config.prompts_file)}")
    if source.run_dir is None or record is None or not source.is_own:
        return Origin(words, drawn=drawn)
    earlier = _earlier_checkpoint(source.run_dir, source.files[0].parent)
    return Origin(
        words,
        _seen_from_here(str(source.run_dir)),
        [_with_seen_place(o) for o in Overrides(record.overrides)],
        record.settings.trainer.max_steps,
        record.settings.optim.lr,
        earlier and _seen_from_here(str(earlier)),
        drawn,
        record.settings.model.side_px,
    )


def _earlier_checkpoint(run_dir: Path, validated: Path) -> Path | None:
    """The last checkpoint of a run before the validated one."""
    steps = {checkpoint_step(folder): folder for folder in run_dir.glob("checkpoint_step_*") if folder.is_dir()}
    before = [step for step in steps if step < checkpoint_step(validated)]
    return steps[max(before)] if before else None


def _seen_from_here(path: str) -> str:
    """A path as it is typed here: from the current folder where it lies below, or from the home folder, or whole."""
    whole, here, home = Path(path).expanduser().resolve(), Path.cwd(), Path.home().resolve()
    if is_hub_id(path) and not whole.exists():
        return path
    if whole.is_relative_to(here):
        return whole.relative_to(here).as_posix()
    return f"~/{whole.relative_to(home).as_posix()}" if whole.is_relative_to(home) else str(whole)


def _with_seen_place(override: Override) -> Override:
    if not is_place(TrainConfig, override.key) or override.text.startswith("["):
        return override
    return Override(f"{override.sign}{override.key}={_seen_from_here(override.text)}")


def changed_data(sprites: TrainingSet, record: RunRecord | None) -> str | None:
    """A note where the sprites are not those of the run's record, or were shown to it in another way."""
    if record is None:
        return None
    if record.data.hash != sprites.hash:
        return "the sprites or captions are not quite those the run was trained on: they were changed since"
    before, now = record.data.views.get("sprites"), sprites.views.get("sprites")
    if before == now or sprites.side_px != record.settings.model.side_px or (before is None and sprites.is_as_stored):
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
