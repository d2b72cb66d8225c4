"""The study that several processes share: its storage, its pruner, and the trial of one job. Optuna, without torch."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spritelora.config.plain import from_plain
from spritelora.config.recorded import is_storage_in
from spritelora.errors import TrainingError, first_line
from spritelora.files import read_json

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

ADDRESS = "trial.json"
"""File in the folder of a search's job. It is no setting: a job alone with the same settings is the same run."""

PRUNER, PRUNED_AT = "pruner", "pruned_at"
"""Attributes: of the study, how it prunes; of a trial, the step at which it was pruned."""

JOURNAL = "journal:"


@dataclass(frozen=True)
class TrialAddress:
    """Where a job finds its trial."""

    storage: str
    study: str
    number: int

    def to_json(self) -> str:
        """The address as its file holds it."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True)
class PruningPlan:
    """The rule for hopeless trials. `kind`: median, hyperband, none. `every`: steps between validation losses."""

    kind: str
    startup_trials: int
    warmup_steps: int
    every: int
    max_steps: int


def open_storage(storage: str) -> "optuna.storages.BaseStorage":
    """A storage by its URL; `journal:FILE` is a plain file that machines may share over NFS."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage.startswith(JOURNAL):
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        file = storage.removeprefix(JOURNAL)  # its own lock is a symbolic link, which Windows keeps for administrators
        return optuna.storages.JournalStorage(JournalFileBackend(file, lock_obj=JournalFileOpenLock(file)))
    waits = {"connect_args": {"timeout": 120}} if storage.startswith("sqlite") else {}  # s, for other processes' writes
    return optuna.storages.RDBStorage(storage, engine_kwargs=waits)


def build_pruner(plan: PruningPlan) -> "optuna.pruners.BasePruner":
    """The pruner that every process of the study builds alike."""
    import optuna

    if plan.kind == "median":
        return optuna.pruners.MedianPruner(plan.startup_trials, plan.warmup_steps)
    if plan.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=plan.every, max_resource=max(plan.every, plan.max_steps))
    return optuna.pruners.NopPruner()


def join_trial(run_dir: Path, storage: str | None = None) -> "optuna.trial.Trial | None":
    """The trial that a run is for; None where it is for none, or for one that is over.

    `storage`: of the search that this process has a part in. Another one that the run's folder names is opened only
    where it lies in the sweep's folder, for runs are passed around. Raises TrainingError where the study cannot be
    read.
    """
    file = run_dir / ADDRESS
    if not file.is_file():
        return None
    try:
        place = from_plain(TrialAddress, read_json(file))
    except ValueError as error:
        raise TrainingError(f"{file}: not the address of a trial ({error}); remove it to train without") from error
    if place.storage != storage and not is_storage_in(place.storage, run_dir.parent):
        log.warning(
            "%s: its study lies outside the sweep's folder, so the run is trained as no part of it; to go on with the "
            "search, type its command again",
            file,
        )
        return None
    import optuna

    try:
        study = optuna.load_study(study_name=place.study, storage=open_storage(place.storage))
        study.pruner = build_pruner(PruningPlan(**study.user_attrs[PRUNER]))
        trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, place.number)
        is_over = study._storage.get_trial(trial_id).state.is_finished()
        return None if is_over else optuna.trial.Trial(study, trial_id)
    except Exception as error:  # SQLAlchemy and each database driver raise errors of their own
        raise TrainingError(
            f"{file}: the study it names cannot be read ({first_line(error)}); its storage must be reachable from "
            f"where the jobs run"
        ) from error
