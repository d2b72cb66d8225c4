"""Jobs under each launcher are the jobs they are alone; jobs side by side have a GPU each; what is missing is named."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from spritelora.door import launchers
from spritelora.door.launchers import EXTRAS, check_extras, check_jobs_at_once, gpus_per_job, jobs_at_once, visible_gpus
from spritelora.errors import ConfigError
from tests.conftest import QUICK, ROOT, run_train
from tests.documents import run_in

HOLD = """
import os, sys
from pathlib import Path
from spritelora.door.launchers import hold_gpu
hold_gpu(Path(sys.argv[1]))
hold_gpu(Path(sys.argv[1]))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def test_jobs_side_by_side_get_a_gpu_each_and_a_third_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    jobs = [start(), start()]
    given = [job.stdout.readline().strip() for job in jobs if job.stdout]
    assert sorted(given) == ["4", "GPU-7"]
    third = start()
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(1)
    jobs[1].kill()
    assert third.communicate()[0].strip() == given[1], "a job that was killed gives its GPU back"
    for job in jobs:
        job.kill()
        job.communicate()


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5")
    assert (visible_gpus(), jobs_at_once(), gpus_per_job()) == (["0", "2", "5"], 3, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert (visible_gpus(), jobs_at_once(), gpus_per_job()) == ([], 2, 0)


def test_more_jobs_at_once_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hydra = OmegaConf.create({"runtime": {"choices": {"hydra/launcher": "joblib"}}, "launcher": {"n_jobs": 3}})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ConfigError, match="n_jobs=3: each job gets a GPU of its own, and there are 2"):
        check_jobs_at_once(hydra, "auto")
    check_jobs_at_once(hydra, "cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    check_jobs_at_once(hydra, "auto")


@pytest.mark.parametrize("option", EXTRAS)
def test_an_extra_that_is_missing_is_named(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group, _, name = option.partition("=")
    check_extras({group: name})
    monkeypatch.setattr(launchers, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"needs a package that is not installed: pip install 'spritelora\[\w+\]'"):
        check_extras({group: name})
    check_extras({"hydra/launcher": "basic", "lora": "rank8"})


def has_slurm() -> bool:
    return (
        shutil.which("sinfo") is not None and "idle" in subprocess.run(["sinfo"], capture_output=True, text=True).stdout
    )


LAUNCHERS = [
    pytest.param("joblib", marks=pytest.mark.slow),
    pytest.param("submitit_local", marks=pytest.mark.slow),
    pytest.param("ray", marks=pytest.mark.slow),
    pytest.param("submitit_slurm", marks=[pytest.mark.slow, pytest.mark.skipif(not has_slurm(), reason="no Slurm")]),
]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_jobs_are_what_they_are_alone(launcher: str, tmp_path: Path, cache: Path, train_quickly) -> None:
    """Under joblib two at once."""
    import torch

    from tests.bounds import assert_same_function

    short = ("trainer.max_steps=2", "trainer.save_every=0")
    sweep = tmp_path / "sweep"
    result = run_train(
        "-m", f"hydra/launcher={launcher}", "lora=rank8,rank16", *QUICK, *short, f"data.cache={cache}",
        f"hydra.sweep.dir={sweep}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    for number, rank in enumerate((8, 16)):
        alone = train_quickly(*short, f"lora=rank{rank}", name=f"alone{rank}")
        # A launcher may give a job another number of threads.
        assert_same_function(last_loss(sweep / str(number)), last_loss(alone), torch.float32)
        assert json.loads((sweep / str(number) / "run.json").read_text())["settings"]["sampler"]["prompts"] == [
            "pixel art, red potion"
        ]
    if launcher == "joblib":
        (first, second) = ([line[:23] for line in log_of(sweep / n)] for n in ("0", "1"))
        assert first[0] < second[-1]
        assert second[0] < first[-1]


def last_loss(run: Path) -> float:
    return json.loads((run / "training_metrics.json").read_text())["values"]["validation_loss"]["last"]


def log_of(run: Path) -> list[str]:
    return (run / "train.log").read_text().splitlines()


def test_an_interval_is_for_a_search() -> None:
    result = run_train("-m", "optim.lr=interval(1e-5,1e-3)", ready="door")
    assert result.returncode == 2
    assert "'optim.lr=interval(1e-5,1e-3)' has values without end: add hydra/sweeper=optuna" in result.stderr


def test_an_experiment_that_is_a_sweep_asks_for_m_and_has_its_choices_checked(tmp_path: Path) -> None:
    result = run_train("experiment=sweep_rank_rate", ready="door")
    assert result.returncode == 2
    assert "error: this experiment is a sweep over lora, lr: add -m, or settle these" in result.stderr
    (tmp_path / "experiment").mkdir()
    mine = tmp_path / "experiment" / "mine.yaml"
    mine.write_text("# @package _global_\nhydra: {sweeper: {params: {lora.rank: '4,0'}}}\n")
    wrong = ("--config-dir", str(tmp_path), "-m", "experiment=mine", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    result = run_train(*wrong, ready="door")
    assert result.returncode == 2
    assert "lora.rank must be at least 1, got 0" in result.stderr
    assert not (tmp_path / "sweep").exists()


COMMANDS = re.findall(r"^python train\.py (?!resume=)(.*)$", (ROOT / "docs" / "sweeps.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_passes_the_door(command: str, tmp_path: Path) -> None:
    """Hydra then shows the first job of the sweep, and nothing else."""
    outcome = run_in(tmp_path, ["python", "train.py", *shlex.split(command), "--cfg", "job"])
    assert outcome.status == 0, outcome.printed
    assert outcome.printed.startswith("seed: ")
    assert "max_steps: " in outcome.printed
