"""A search trains what Optuna asks for, ends what is hopeless, and goes on after a kill without doing a trial twice."""

import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from spritelora.errors import ConfigError, TrainingError
from spritelora.locks import is_held
from spritelora.sweeps.search import SearchSettings
from spritelora.sweeps.search import search as run_search
from spritelora.sweeps.search_space import build_sampler, read_space, suggest
from spritelora.sweeps.trials import SET_ASIDE, command_of, counted, present_worker, set_aside
from spritelora.training.callbacks.study import ADDRESS, PRUNER, PruningPlan, TrialAddress, join_trial, open_storage
from tests.conftest import QUICK, ROOT, assert_same_tensors, lora_of, run_train
from tests.running import run_python

TINY = (*QUICK, "trainer.max_steps=2", "trainer.validate_every=1", "trainer.save_every=0")
SEARCH = ("hydra/sweeper=optuna", "optim.lr=tag(log, interval(1e-4, 1e-1))", "lora=rank8,rank16")


def space_of(*overrides: str):
    return read_space(OverridesParser.create().parse_overrides(list(overrides)))


def search(folder: Path, cache: Path, *overrides: str, **options: Any) -> subprocess.CompletedProcess[str]:
    last = {o.partition("=")[0]: o for o in (*TINY, f"data.cache={cache}", *SEARCH, *overrides)}
    return run_train("-m", *last.values(), f"hydra.sweep.dir={folder}", **options)


def start_search(folder: Path, cache: Path, *overrides: str) -> "subprocess.Popen[str]":
    arguments = [*TINY, f"data.cache={cache}", *SEARCH, *overrides, f"hydra.sweep.dir={folder}"]
    return subprocess.Popen(
        [sys.executable, "train.py", "-m", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="spritelora", storage=open_storage(f"sqlite:///{folder}/study.db"))


def states(folder: Path) -> list[str]:
    return [t.state.name for t in counted(study_in(folder))]


def test_the_words_of_a_sweep_are_the_space_of_a_search() -> None:
    space, shared = space_of(
        "optim.lr=tag(log, interval(1e-5, 1e-3))", "lora=choice(rank8,rank16)", "a=range(1,8,3)", "b=x,'y, z'",
        "c=interval(0,1)", "d=int(interval(2,9))", "e=range(0.5,2,0.5)", "seed=1", "seed=2",
    )  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn: dict[str, set[Any]] = {key: set() for key in space}
    for _ in range(200):
        trial = study.ask()
        suggest(trial, space)
        for key, value in trial.params.items():
            drawn[key].add(value)
    assert drawn["lora"] == {"rank8", "rank16"}
    assert drawn["a"] == {1, 4, 7}, "what range(1,8,3) means in a plain sweep"
    assert drawn["b"] == {"x", "'y, z'"}, "quotes stay, so that the grammar reads the value again"
    assert drawn["e"] == {0.5, 1.0, 1.5}
    assert drawn["d"] == set(range(2, 10))
    assert all(0 <= x <= 1 for x in drawn["c"])
    assert sum(x < 1e-4 for x in drawn["optim.lr"]) == pytest.approx(100, abs=30), "half of them below the middle"
    assert shared == ["seed=2"]


def test_a_search_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to search"):
        space_of("seed=1")
    with pytest.raises(ConfigError, match=r"a=range\(3,3\): the range is empty"):
        space_of("a=range(3,3)")
    with pytest.raises(ConfigError, match=r"a=tag\(log,interval\(0,1\)\): "):
        space_of("a=tag(log,interval(0,1))")


def test_each_trial_has_random_numbers_of_its_own() -> None:
    """A study that goes on, and a second worker, draw nothing that was drawn before."""
    space, _ = space_of("optim.lr=interval(0,1)")
    study = optuna.create_study()

    def draw(number: int) -> float:
        study.sampler = build_sampler("tpe", 0, number)
        trial = study.ask()
        suggest(trial, space)
        return trial.params["optim.lr"]

    first = [draw(n) for n in range(5)]
    assert len(set(first)) == 5
    assert [draw(n) for n in range(5)] == first


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.sweeper.storage=sqlite:////nowhere/study.db"], "hydra.sweeper.storage=sqlite:////nowhere/study.db"),
        (["hydra.sweeper.n_trial=3"], "unknown key 'hydra.sweeper.n_trial': did you mean 'hydra.sweeper.n_trials'?"),
    ],
)
def test_a_wrong_search_is_answered(tmp_path: Path, overrides: list[str], message: str) -> None:
    result = search(tmp_path / "sweep", tmp_path, *overrides, ready="door")
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


class Parabola(Launcher):
    """A launcher whose jobs are over at once: (log10 lr + 2)^2, an error for `bad`, a stop by SIGTERM for `stop`."""

    def __init__(self) -> None:
        self.launched: list[dict[str, str]] = []

    def setup(self, **_: Any) -> None:
        """Nothing to set up."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        returns = []
        for overrides in job_overrides:
            job = dict(o.split("=", 1) for o in overrides)
            self.launched.append(job)
            if job["kind"] == "stop":
                raise SystemExit(143)
            value = (math.log10(float(job["optim.lr"])) + 2) ** 2
            failed = job["kind"] == "bad"
            result = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
            result.return_value = TrainingError("out of luck") if failed else value
            returns.append(result)
        return returns


SETTINGS = SearchSettings("spritelora", None, 6, 1, "tpe", 0, "none", 5, 0, "minimise", {})


def run_parabola(
    folder: Path, *arguments: str, validate_every: int = 1, objective: str = "validation_loss", **settings: Any
) -> tuple[float, Parabola]:
    config = OmegaConf.create(
        {
            "hydra": {"sweep": {"dir": str(folder)}},
            "trainer": {"validate_every": validate_every, "max_steps": 2},
            "sweep": {"objective": objective},
        }
    )
    launcher = Parabola()
    words = ["optim.lr=tag(log, interval(1e-4, 1))", "kind=good", *arguments]
    return run_search(replace(SETTINGS, **settings), words, config, None, launcher), launcher


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pruner": "medium"}, "hydra.sweeper.pruner must be one of median, hyperband, none, got 'medium'"),
        ({"n_trials": 0}, "hydra.sweeper.n_trials must be at least 1, got 0"),
        ({"pruner": "median", "validate_every": 0}, "validation losses on the way, and trainer.validate_every=0"),
        ({"pruner": "median", "objective": "time_s"}, "validation_loss, not time_s: add hydra.sweeper.pruner=none"),
        ({"pruner": "median", "direction": "maximise"}, "which is minimised: add hydra.sweeper.pruner=none"),
    ],
)
def test_settings_that_make_no_search_are_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_parabola(tmp_path / "sweep", **wrong)
    assert message in str(error.value)
    assert not (tmp_path / "sweep").exists()


def test_a_search_finds_the_bottom_and_goes_on_to_more_trials(tmp_path: Path) -> None:
    best, launcher = run_parabola(tmp_path, n_trials=8)
    assert len(launcher.launched) == 8
    assert best == min((math.log10(float(j["optim.lr"])) + 2) ** 2 for j in launcher.launched)
    assert run_parabola(tmp_path, n_trials=8)[1].launched == [], "a complete study runs nothing"
    more, launcher = run_parabola(tmp_path, n_trials=20, n_jobs=3)
    assert len(launcher.launched) == 12
    assert more <= best
    assert more < 0.1
    assert {j["hydra.sweep.subdir"] for j in launcher.launched} == {f"'{n}'" for n in range(8, 20)}


def test_jobs_that_fail_are_told_and_do_not_stop_the_study(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, launcher = run_parabola(tmp_path, "kind=good,bad", n_trials=6)
    kinds = [j["kind"] for j in launcher.launched]
    assert set(kinds) == {"good", "bad"}
    assert states(tmp_path) == ["COMPLETE" if k == "good" else "FAIL" for k in kinds]
    assert "out of luck" in caplog.text
    with pytest.raises(TrainingError, match="no trial of the study finished: out of luck"):
        run_parabola(tmp_path / "bad", "kind=bad", n_trials=2)


def test_a_stopped_trial_waits_and_is_run_again_in_its_folder(tmp_path: Path) -> None:
    study_of(tmp_path).enqueue_trial({"kind": "stop", "optim.lr": 0.5})
    with pytest.raises(SystemExit):
        run_parabola(tmp_path, "kind=good,stop", n_trials=3)
    (stopped,) = [t for t in study_in(tmp_path).get_trials() if SET_ASIDE in t.user_attrs]
    (waiting,) = study_in(tmp_path).get_trials(states=[TrialState.WAITING])
    assert (stopped.params, waiting.user_attrs["folder"]) == ({"kind": "stop", "optim.lr": 0.5}, "0")
    assert states(tmp_path) == []


def test_a_trial_of_a_dead_worker_runs_again_and_that_of_a_living_one_is_left(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    with present_worker(tmp_path) as mine:
        assert is_held(mine)
        held = study.ask({"optim.lr": FloatDistribution(1e-4, 1, log=True)})
        held.set_user_attr("worker", str(mine))
        dead = study.ask({"optim.lr": FloatDistribution(1e-4, 1, log=True)})
        dead.set_user_attr("worker", str(dead_worker(tmp_path)))
        _, launcher = run_parabola(tmp_path, n_trials=3)
    assert float(launcher.launched[0]["optim.lr"]) == dead.params["optim.lr"]
    assert launcher.launched[0]["hydra.sweep.subdir"] == "'1'"
    assert len(launcher.launched) == 2, "the living worker's trial is one of the three"
    assert sorted(states(tmp_path)) == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert is_held(tmp_path / "nowhere" / "worker") is None


def dead_worker(folder: Path) -> Path:
    """The file that a killed process held."""
    code = (
        "import os, pathlib, signal\n"
        "from spritelora.sweeps.trials import present_worker\n"
        f"with present_worker(pathlib.Path({str(folder)!r})) as file:\n"
        "    print(file, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = run_python("-c", code, ready="door")
    assert result.returncode == -signal.SIGKILL
    return Path(result.stdout.strip())


def test_of_workers_that_ask_at_once_the_last_gives_way(tmp_path: Path) -> None:
    """Two see one trial left, both ask: the study has its number, and no more."""
    study = study_of(tmp_path)
    first, second = study.ask(), study.ask()
    assert [t.number for t in counted(study)] == [0, 1]
    frozen = study.get_trials()[second.number]
    assert set_aside(study, frozen, "surplus", again=False)
    assert not set_aside(study, frozen, "surplus", again=False), "it is over already"
    assert [t.number for t in counted(study)] == [first.number]
    assert study.get_trials(states=[TrialState.WAITING]) == []


def test_another_search_does_not_go_into_a_study(tmp_path: Path) -> None:
    run_parabola(tmp_path, n_trials=1)
    with pytest.raises(ConfigError) as error:
        run_parabola(tmp_path, "seed=3", n_trials=2)
    assert "+ seed=3" in str(error.value)
    assert "hydra.sweeper.study_name=..." in str(error.value)
    run_parabola(tmp_path, "logger=csv", "hardware.threads=1", n_trials=2)


def test_a_journal_file_holds_a_study_too(tmp_path: Path) -> None:
    storage = f"journal:{tmp_path / 'study.log'}"
    run_parabola(tmp_path, n_trials=2, storage=storage)
    assert run_parabola(tmp_path, n_trials=3, storage=storage)[1].launched[0]["hydra.sweep.subdir"] == "'2'"


def test_what_can_be_repeated_is_quoted_for_a_shell() -> None:
    study = optuna.create_study()
    trial = study.ask({"lora": optuna.distributions.CategoricalDistribution(["rank8"])})
    shared = ["sampler.prompts=['pixel art, red potion']", "output='x'", "hydra/sweeper=optuna", "a=$b c"]
    command = command_of(shared, study.get_trials()[trial.number])
    assert shlex.split(command) == ["python", "train.py", shared[0], "a=$b c", "lora=rank8"]


def study_of(folder: Path) -> optuna.Study:
    storage = open_storage(f"sqlite:///{folder}/study.db")
    return optuna.create_study(study_name="spritelora", storage=storage, load_if_exists=True)


def test_a_run_joins_its_trial_until_that_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A study outside the sweep's folder is opened only where the search itself names it."""
    run = tmp_path / "0"
    run.mkdir()
    assert join_trial(run) is None, "a run that is no trial"
    study = study_of(tmp_path)
    plan = PruningPlan("hyperband", 5, 0, 1, 9)
    study.set_user_attr(PRUNER, asdict(plan))
    trial = study.ask()
    address = TrialAddress(f"sqlite:///{tmp_path}/study.db", "spritelora", trial.number)
    (run / ADDRESS).write_text(address.to_json())
    joined = join_trial(run)
    assert joined is not None
    joined.report(0.5, 3)
    assert study.get_trials()[0].intermediate_values == {3: 0.5}
    assert not joined.should_prune()
    study.tell(trial, 0.5)
    assert join_trial(run) is None
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere' / 'study.db'}"
    outside = Path(shutil.copytree(run, tmp_path / "theirs" / "0"))
    (outside / ADDRESS).write_text(replace(address, storage=elsewhere).to_json())
    assert join_trial(outside) is None
    assert "trained as no part of it" in caplog.text
    with pytest.raises(TrainingError, match=r"trial\.json: the study it names cannot be read"):
        join_trial(outside, elsewhere)
    for damaged in ("[]", '{"storage": 3, "study": "x", "number": 0}'):
        (outside / ADDRESS).write_text(damaged)
        with pytest.raises(TrainingError, match=r"not the address of a trial .*; remove it"):
            join_trial(outside)


@pytest.mark.slow
def test_a_hopeless_trial_is_pruned_and_the_best_can_be_repeated(tmp_path: Path, cache: Path, train_quickly) -> None:
    folder = tmp_path / "sweep"
    for rate in (4e-3, 1e-4):
        study_of(tmp_path).enqueue_trial({"optim.lr": rate, "lora": "rank8"})
    asked = ("hydra.sweeper.startup_trials=1", "hydra.sweeper.n_trials=2")
    result = search(folder, cache, *asked, f"hydra.sweeper.storage=sqlite:///{tmp_path}/study.db")
    assert result.returncode == 0, result.stderr
    assert states(tmp_path) == ["COMPLETE", "PRUNED"]
    assert "error" not in result.stderr
    assert not (folder / "1" / "checkpoint_final").exists()
    metrics = json.loads((folder / "1" / "training_metrics.json").read_text())
    assert (metrics["status"], metrics["step"]) == ("pruned", 1)
    told = [json.loads(x) for x in (folder / "1" / "metrics.jsonl").read_text().splitlines()]
    reported = study_in(tmp_path).get_trials()[1].intermediate_values
    assert reported == {1: next(x["validation_loss"] for x in told if x["step"] == 1 and "validation_loss" in x)}
    records = json.loads((folder / "trials.json").read_text())["trials"]
    assert [(r["folder"], r["status"]) for r in records] == [("0", "finished"), ("1", "pruned")]
    (command,) = [x for x in result.stdout.splitlines() if x.startswith("python train.py")]
    alone = train_quickly(*shlex.split(command)[2:], name="alone")
    assert_same_tensors(lora_of(folder / "0"), lora_of(alone))


@pytest.mark.slow
def test_a_killed_search_goes_on_and_finishes_no_trial_twice(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "sweep"
    more = ("hydra.sweeper.n_trials=3", "hydra.sweeper.pruner=none")
    process = start_search(folder, cache, *more)
    deadline = time.monotonic() + 300
    while not (folder / "1" / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert states(folder) == ["COMPLETE", "RUNNING"]
    first = (folder / "0" / "metrics.jsonl").stat().st_mtime_ns
    result = search(folder, cache, *more)
    assert result.returncode == 0, result.stderr
    assert states(folder) == ["COMPLETE"] * 3
    assert (folder / "0" / "metrics.jsonl").stat().st_mtime_ns == first
    assert sorted(p.name for p in folder.iterdir() if p.name.isdigit()) == ["0", "1", "3"]
    assert (folder / "1" / "checkpoint_final").is_dir()


@pytest.mark.slow
def test_two_workers_share_one_study(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "sweep"
    more = ("hydra.sweeper.n_trials=5", "hydra.sweeper.pruner=none")
    workers = [start_search(folder, cache, *more) for _ in range(2)]
    for worker in workers:
        output, _ = worker.communicate(timeout=600)
        assert worker.returncode == 0, output
    assert states(folder) == ["COMPLETE"] * 5
    assert len({t.user_attrs["worker"] for t in counted(study_in(folder))}) == 2
    assert len({t.params["optim.lr"] for t in counted(study_in(folder))}) == 5
