"""A search: trials asked of Optuna, trained by any launcher, told back; it goes on where it was left."""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from spritelora.config.free_text import quote
from spritelora.errors import ConfigError, Pruned, TrainingError, first_line
from spritelora.files import write_whole
from spritelora.locks import is_held
from spritelora.sweeps.search_space import Space, build_sampler, describe_space, read_space, suggest, to_overrides
from spritelora.sweeps.trials import (
    ERROR,
    SET_ASIDE,
    WORKER,
    command_of,
    counted,
    importances,
    one_at_a_time,
    present_worker,
    run_folder,
    set_aside,
    to_table,
    trial_records,
)
from spritelora.training.callbacks.study import ADDRESS, PRUNED_AT, PRUNER, PruningPlan, TrialAddress, open_storage

log = logging.getLogger(__name__)

CHOICES = {
    "sampler": ("tpe", "random"),
    "pruner": ("median", "hyperband", "none"),
    "direction": ("minimise", "maximise"),
}
SPACE, TRIALS = "space", "trials.json"


@dataclass(frozen=True)
class SearchSettings:
    """The keys of `hydra.sweeper`, as its configuration documents them."""

    study_name: str
    storage: str | None
    n_trials: int
    n_jobs: int
    sampler: str
    seed: int
    pruner: str
    startup_trials: int
    warmup_steps: int
    direction: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """A study with what its trials are made of. `shared`: the overrides of every trial."""

    settings: SearchSettings
    study: optuna.Study
    storage: str
    space: Space
    shared: list[str]
    sweep_dir: Path

    @property
    def sign(self) -> int:
        return 1 if self.settings.direction == "minimise" else -1


def search(
    settings: SearchSettings, arguments: list[str], config: DictConfig, loader: ConfigLoader, launcher: Launcher
) -> float:
    """Run a study to its wanted number of trials, and say what it found. Returns the best value.

    Raises ConfigError for settings that make no search, TrainingError where no trial finished.
    """
    _check(settings, config)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    typed = [*(f"{key}={value}" for key, value in settings.params.items()), *arguments]
    space, shared = read_space(OverridesParser.create(config_loader=loader).parse_overrides(typed))
    sweep_dir = Path(str(config.hydra.sweep.dir)).absolute()
    sweep_dir.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, sweep_dir / "multirun.yaml")
    storage = settings.storage or f"sqlite:///{sweep_dir / 'study.db'}"
    every, max_steps = config.trainer.validate_every, config.trainer.max_steps
    plan = PruningPlan(settings.pruner, settings.startup_trials, settings.warmup_steps, every, max_steps)
    with one_at_a_time(sweep_dir):
        study = _open_study(settings, storage, describe_space(space, shared), plan)
    whole = Search(settings, study, storage, space, shared, sweep_dir)
    with present_worker(sweep_dir) as worker:
        if study.get_trials(False):
            _take_over(study)
            log.info(
                "the study '%s' goes on: it has %d of %d trials",
                settings.study_name,
                len(counted(study)),
                settings.n_trials,
            )
        while trials := _ask(whole, worker):
            _launch(whole, launcher, trials)
            write_whole(sweep_dir / TRIALS, trial_records(study))
    return _announce(whole)


def _check(settings: SearchSettings, config: DictConfig) -> None:
    problems = [
        f"hydra.sweeper.{name} must be one of {', '.join(choices)}, got '{getattr(settings, name)}'"
        for name, choices in CHOICES.items()
        if getattr(settings, name) not in choices
    ]
    problems += [
        f"hydra.sweeper.{name} must be at least 1, got {getattr(settings, name)}"
        for name in ("n_trials", "n_jobs")
        if getattr(settings, name) < 1
    ]
    if settings.pruner != "none":
        trainer, objective = config.trainer, config.sweep.objective
        if not trainer.max_steps:
            problems.append("pruning needs a number of steps: type trainer.max_steps, or hydra.sweeper.pruner=none")
        elif not 0 < trainer.validate_every < trainer.max_steps:
            problems.append(
                f"pruning needs validation losses on the way, and trainer.validate_every={trainer.validate_every} "
                f"gives none in {trainer.max_steps} steps: lower it, or add hydra.sweeper.pruner=none"
            )
        if objective != "validation_loss":
            problems.append(f"pruning goes by validation_loss, not {objective}: add hydra.sweeper.pruner=none")
        if settings.direction == "maximise":
            problems.append("pruning goes by a loss, which is minimised: add hydra.sweeper.pruner=none")
    if problems:
        raise ConfigError("\n".join(problems))


def _open_study(settings: SearchSettings, storage: str, described: list[str], plan: PruningPlan) -> optuna.Study:
    """The study of that name, which must be of this search. Raises ConfigError where it is not, or not reachable."""
    try:
        study = optuna.create_study(
            study_name=settings.study_name,
            storage=open_storage(storage),
            direction=StudyDirection.MINIMIZE if settings.direction == "minimise" else StudyDirection.MAXIMIZE,
            load_if_exists=True,
        )
        recorded = study.user_attrs.get(SPACE)
        if recorded is None:
            study.set_user_attr(PRUNER, asdict(plan))
            study.set_user_attr(SPACE, described)
    except Exception as error:  # SQLAlchemy and each database driver raise errors of their own
        raise ConfigError(f"hydra.sweeper.storage={storage} cannot be opened: {first_line(error)}") from error
    if recorded is not None and recorded != described:
        gone = [f"- {o}" for o in recorded if o not in described]
        new = [f"+ {o}" for o in described if o not in recorded]
        listed = "\n  ".join([*gone, *new])
        raise ConfigError(
            f"the study '{settings.study_name}' searches something else\n  {listed}\n"
            f"go on with its own settings, or begin another: hydra.sweeper.study_name=..."
        )
    return study


def _take_over(study: optuna.Study) -> None:
    """Put trials of workers that are dead back to those that wait."""
    for trial in study.get_trials(False, states=[TrialState.RUNNING]):
        alive = is_held(Path(trial.user_attrs.get(WORKER, "")))
        if alive is None:
            log.warning("trial %d is left to its worker, which cannot be seen from here", trial.number)
        elif not alive and set_aside(study, trial, "interrupted", again=True):
            log.info("trial %d was interrupted and runs again", trial.number)


def _ask(search: Search, worker: Path) -> list[optuna.Trial]:
    """The next trials, at most as many as run at once; none where the study is complete."""
    study, settings, trials = search.study, search.settings, []
    while len(trials) < settings.n_jobs and len(counted(study)) < settings.n_trials:
        trial = study.ask()
        trial.set_user_attr(WORKER, str(worker))
        study.sampler = build_sampler(settings.sampler, settings.seed, trial.number)
        suggest(trial, search.space)
        if trial.number in [t.number for t in counted(study)[settings.n_trials :]]:  # several workers asked at once
            set_aside(study, _frozen(study, trial), "surplus", again=False)
            break
        trials.append(trial)
    return trials


def _launch(search: Search, launcher: Launcher, trials: Sequence[optuna.Trial]) -> None:
    """Train trials side by side, and tell the study how each went; one that fails does not stop it."""
    with _given_back(search.study, trials):
        try:
            returns = launcher.launch([_job(search, t) for t in trials], initial_job_idx=trials[0].number)
        except Exception as error:  # a launcher's own, such as a worker process that was killed
            log.error("error: %s", first_line(error))
            for trial in trials:
                _fail(search.study, trial, f"{type(error).__name__}: {first_line(error)}")
            return
        for trial, returned in zip(trials, returns, strict=True):
            _tell(search.study, trial, returned)


@contextmanager
def _given_back(study: optuna.Study, trials: Sequence[optuna.Trial]) -> Iterator[None]:
    """After SIGTERM and Ctrl-C, put trials that were running back to those that wait."""
    try:
        yield
    except BaseException:
        for trial in trials:
            set_aside(study, _frozen(study, trial), "interrupted", again=True)
        raise


def _job(search: Search, trial: optuna.Trial) -> list[str]:
    """The overrides of one trial's job, whose folder says where its trial is."""
    address = TrialAddress(search.storage, search.study.study_name, trial.number)
    folder = search.sweep_dir / run_folder(trial)
    folder.mkdir(exist_ok=True)
    write_whole(folder / ADDRESS, address.to_json())
    return [*search.shared, *to_overrides(trial.params), f"hydra.sweep.subdir={quote(folder.name)}"]


def _tell(study: optuna.Study, trial: optuna.Trial, returned: JobReturn) -> None:
    """Tell the study a job's end; a job may raise its error, or return NaN for it."""
    result = returned._return_value
    if PRUNED_AT in _frozen(study, trial).user_attrs or isinstance(result, Pruned):
        study.tell(trial, state=TrialState.PRUNED)
    elif returned.status is not JobStatus.COMPLETED:
        _fail(study, trial, first_line(result))
    elif not isinstance(result, int | float) or not math.isfinite(result):
        _fail(study, trial, f"the job gave {result}")
    else:
        study.tell(trial, float(result))


def _fail(study: optuna.Study, trial: optuna.Trial, error: str) -> None:
    trial.set_user_attr(ERROR, error)
    study.tell(trial, state=TrialState.FAIL)


def _frozen(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def _announce(search: Search) -> float:
    """Say what was found. Returns the best value; raises TrainingError where there is none."""
    study, trials = search.study, [t for t in search.study.get_trials(False) if SET_ASIDE not in t.user_attrs]
    log.info("%d trials of the study '%s':\n%s", len(trials), study.study_name, to_table(trials, search.sign))
    finished = [t for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    if not finished:
        errors = [t.user_attrs[ERROR] for t in trials if ERROR in t.user_attrs]
        raise TrainingError(f"no trial of the study finished: {errors[0] if errors else 'none has ended yet'}")
    if mattered := importances(study):
        log.info("what mattered: %s", ", ".join(f"{key} {share:.0%}" for key, share in mattered.items()))
    best = min(finished, key=lambda t: search.sign * float(t.value or 0))
    log.info(
        "best: trial %s, %.5f, in %s; to repeat it:\n%s",
        run_folder(best), best.value, search.sweep_dir / run_folder(best), command_of(search.shared, best),
    )  # fmt: skip
    return float(best.value or 0)
