"""The trials of a shared study: which count, whose worker died, and how they are told as a table."""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from spritelora.config.overrides import Overrides
from spritelora.locks import held
from spritelora.program import typed
from spritelora.sweeps.search_space import to_overrides

WORKER, FOLDER, SET_ASIDE, ERROR = "worker", "folder", "set_aside", "error"
"""Attributes of a trial: the file its worker holds, the folder of its run where that is another trial's, why it does
not count, and why it failed.
"""

WORKERS = ".workers"
SHOWN = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}


@contextmanager
def present_worker(sweep_dir: Path) -> Iterator[Path]:
    """A file that is held as long as this process lives, however that ends."""
    folder = sweep_dir / WORKERS
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / secrets.token_hex(4)).resolve()
    with held(file):
        yield file
    file.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(sweep_dir: Path) -> Iterator[None]:
    """Keep other workers out meanwhile: two that make the same database at once spoil it for one of them."""
    with held(sweep_dir / ".opening", wait=True):
        yield


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that the wanted number is made of: those set aside and those that wait apart."""
    return [t for t in study.get_trials(False) if t.state is not TrialState.WAITING and SET_ASIDE not in t.user_attrs]


def run_folder(trial: FrozenTrial | optuna.Trial) -> str:
    """The name of the folder of a trial's run in the sweep's folder."""
    return str(trial.user_attrs.get(FOLDER, trial.number))


def set_aside(study: optuna.Study, trial: FrozenTrial, why: str, again: bool) -> bool:
    """End a running trial so that it does not count; `again` puts its settings at the head of those to come.

    Returns whether this process was the one to do it.
    """
    try:
        study._storage.set_trial_user_attr(trial._trial_id, SET_ASIDE, why)
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, RuntimeError):  # another worker was faster
        return False
    if again:
        study.enqueue_trial(trial.params, user_attrs={FOLDER: run_folder(trial)})
    return True


def to_table(trials: Sequence[FrozenTrial], sign: int) -> str:
    """Trials as text, the best first, then those that were pruned, then the others. `sign`: 1 where less is better."""
    keys = list(dict.fromkeys(key for t in trials for key in t.params))

    def place(trial: FrozenTrial) -> tuple[int, float]:
        ranks = [TrialState.COMPLETE, TrialState.PRUNED]
        is_ranked = trial.state in ranks and trial.value is not None
        return (ranks.index(trial.state), sign * float(trial.value or 0)) if is_ranked else (len(ranks), trial.number)

    rows = [["trial", "status", "value", "steps", *keys, ""]]
    for t in sorted(trials, key=place):
        value = "" if t.value is None else f"{t.value:.5f}"
        steps = str(max(t.intermediate_values, default=""))
        drawn = [_short(t.params.get(key, "")) for key in keys]
        rows.append([run_folder(t), SHOWN[t.state.name], value, steps, *drawn, t.user_attrs.get(ERROR, "")])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def command_of(shared: Sequence[str], trial: FrozenTrial) -> str:
    """The command that runs a trial's settings alone."""
    kept = [o for o in Overrides(shared).without("output") if not o.is_hydras and not o.key.startswith("sweep.")]
    return typed("train", *kept, *to_overrides(trial.params))


def importances(study: optuna.Study) -> dict[str, float]:
    """The share of each searched setting in the value; empty where the trials are too few to tell."""
    finished = [t for t in study.get_trials(False) if t.state is TrialState.COMPLETE]
    if len(finished) < 4 or len({t.value for t in finished}) < 2 or len(finished[0].params) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def trial_records(study: optuna.Study) -> str:
    """Every trial as JSON, for programs."""
    trials = [
        {
            "number": t.number,
            "folder": run_folder(t),
            "status": t.user_attrs.get(SET_ASIDE) or SHOWN[t.state.name],
            "value": t.value,
            "parameters": t.params,
            "reported": {str(step): loss for step, loss in t.intermediate_values.items()},
            "error": t.user_attrs.get(ERROR),
        }
        for t in study.get_trials(False)
    ]
    return json.dumps({"study": study.study_name, "trials": trials}, indent=1) + "\n"
