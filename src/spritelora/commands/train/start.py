"""Where a run begins: at step 0, or from the checkpoint of another or of its own."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from spritelora.commands.train.distributed import is_lost_connection
from spritelora.commands.train.record import check_resumable, public_settings, to_json
from spritelora.config.invocation import Invocation
from spritelora.config.strict import import_target
from spritelora.config.train.schema import TrainConfig
from spritelora.data.encoded import subjects_shown
from spritelora.data.team import Team
from spritelora.data.training_set import TrainingSet
from spritelora.errors import ConfigError, DatasetError, ResumeError, first_line
from spritelora.files import write_whole
from spritelora.runs.layout import FINAL, RECORD, is_run
from spritelora.runs.record import RunRecord
from spritelora.shown import counted
from spritelora.sprites.split import choose_subset
from spritelora.training.callbacks.checkpoints import checkpoint_step, newest_checkpoint, tidy_checkpoints
from spritelora.training.hardware import is_out_of_memory
from spritelora.training.loggers import RunIdentity
from spritelora.training.logs.run_log import RunLog

log = logging.getLogger(__name__)

NUM_PROMPTS, PROMPT_SEED = 4, 0
"""Of the samples where none are typed."""


@dataclass(frozen=True)
class Start:
    """Where a run begins: a checkpoint and its step, or at zero."""

    checkpoint: Path | None
    step: int


def find_start(config: TrainConfig, record: RunRecord) -> tuple[Start, RunRecord]:
    """Where training begins, and the record with the identity of the run that goes on."""
    if config.resume is None:
        return Start(None, 0), record
    source = Path(config.resume)
    recorded = RunRecord.read(source)
    check_resumable(source, recorded, record)
    if is_run(source):
        tidy_checkpoints(source)
        checkpoint = newest_checkpoint(source)
        record = replace(record, id=recorded.id, name=recorded.name, sweep=recorded.sweep)
    else:
        checkpoint = source
    if checkpoint is None:
        log.info("%s has no checkpoint yet: training starts again at step 0", source)
        return Start(None, 0), record
    step, last = checkpoint_step(checkpoint), config.trainer.max_steps
    is_unfinished = is_run(source) and step == last and not (source / FINAL).is_dir()
    if step >= last and not is_unfinished:
        raise ResumeError(f"{checkpoint} is at step {step} of {last} already; to go on: trainer.max_steps={2 * step}")
    if is_run(source) and _has_stopped_early(source, step, recorded, config):
        raise ResumeError(
            f"{source} ended at step {step}, before its last, for {config.trainer.patience} validations brought no "
            f"improvement; to go on: trainer.patience={2 * config.trainer.patience}, or trainer.patience=0"
        )
    log.info("going on from step %d of %s", step, checkpoint)
    return Start(checkpoint, step), record


def open_log(config: TrainConfig, run_dir: Path, record: RunRecord, first_step: int) -> RunLog:
    """Write the run's record and open its log."""
    write_whole(run_dir / RECORD, to_json(record))
    options = Invocation(run_dir, tuple(record.overrides)).options
    identity = RunIdentity(run_dir, record.name, record.id, record.sweep, public_settings(record), options)
    arguments = {name: value for name, value in config.logger.items() if name != "_target_"}
    return RunLog(run_dir, import_target(config.logger["_target_"])(identity, **arguments), first_step)


def check_same_sprites(sprites: TrainingSet, team: Team) -> None:
    """Raise DatasetError where a process has read others than the first."""
    hashes = team.meet((sprites.hash, sprites.views, sprites.masks_hash, sprites.regularisation_hash))
    if other := [rank for rank, found in enumerate(hashes) if found != hashes[0]]:
        raise DatasetError(
            f"process {other[0]} has read other sprites or captions than the first: data.path must be the same "
            f"folder, or an equal copy, on every machine"
        )


def settle_threads(config: TrainConfig) -> int | None:
    """The number of CPU threads: as asked, of a run that goes on as it began, else None for torch's own choice.

    Sums are added up in another order with another number, so that weights differ in their last bits.
    """
    asked = config.hardware.threads
    begun = RunRecord.read(Path(config.resume)).threads if config.resume is not None else None
    if begun is not None and asked is not None and asked != begun:
        log.warning(
            "going on with hardware.threads=%d, and the run began with %d: its weights are not exactly those of a run "
            "in one go",
            asked,
            begun,
        )
    return begun if asked is None else asked


@contextmanager
def restoring(checkpoint: Path | None, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Training, from a checkpoint or from nothing. Raises ResumeError where the checkpoint's state is not a run's."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if checkpoint is None or has_begun() or is_out_of_memory(error) or is_lost_connection(error):
            raise
        raise ResumeError(
            f"{checkpoint}: its training state is not one of this run ({first_line(error)}); resume from an earlier "
            f"checkpoint"
        ) from error


def _has_stopped_early(run: Path, step: int, recorded: RunRecord, config: TrainConfig) -> bool:
    """Whether a run's end by its patience stands, for neither that nor anything of its length is changed."""
    before = recorded.settings.trainer
    is_same = before.patience == config.trainer.patience
    return (run / FINAL).is_dir() and config.trainer.patience > 0 and is_same and step < before.max_steps


def settle_by_set(config: TrainConfig, sprites: TrainingSet) -> TrainConfig:
    """The settings with what depends on the sprites: the number of steps and the prompts of the samples."""
    return settle_prompts(settle_steps(config, sprites), sprites)


def settle_steps(config: TrainConfig, sprites: TrainingSet) -> TrainConfig:
    """The settings with the steps of so many passes over the set, where they ask for them."""
    trainer = config.trainer
    if trainer.max_steps:
        return config
    if trainer.fewest_steps > trainer.most_steps:
        raise ConfigError(
            f"trainer.fewest_steps={trainer.fewest_steps} is more than trainer.most_steps={trainer.most_steps}: change "
            f"one of them, or type trainer.max_steps"
        )
    shown = sum(subject.times for subject in subjects_shown(sprites.training))
    by_passes = math.ceil(shown * trainer.passes / (config.sprites_a_step * config.data.share_of_sprites))
    steps = min(max(by_passes, trainer.fewest_steps), trainer.most_steps)
    bound = (
        "" if steps == by_passes else f", kept to {steps} by trainer.{'fewest' if steps > by_passes else 'most'}_steps"
    )
    log.info("steps=auto: %d passes over the set are %d steps%s", trainer.passes, by_passes, bound)
    return replace(config, trainer=replace(trainer, max_steps=steps))


def settle_prompts(config: TrainConfig, sprites: TrainingSet) -> TrainConfig:
    """The settings with the prompts of the samples: as typed, else those of the run gone on from, else the set's.

    Of the set come a few captions that are trained on and as many that are held out; every run on it takes the same.
    """
    if config.sampler.prompts:
        return config
    prompts = RunRecord.read(Path(config.resume)).settings.sampler.prompts if config.resume is not None else []
    if not prompts:
        known, new = ({s.caption: None for s in part} for part in (sprites.training, sprites.held_out))
        unseen = choose_subset([c for c in new if c not in known], NUM_PROMPTS // 2, PROMPT_SEED)
        seen = choose_subset(list(known), NUM_PROMPTS - len(unseen), PROMPT_SEED)
        log.info("prompts of the samples: %s it trains on, %d it does not", counted(len(seen), "caption"), len(unseen))
        prompts = [*seen, *unseen]
    return replace(config, sampler=replace(config.sampler, prompts=prompts))
