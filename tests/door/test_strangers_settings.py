"""Records and options that came from strangers give settings and nothing else: no code, no other file, no secret."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUICK
from tests.documents import Outcome, run_in
from tests.records import write_record

SPRUNG = "sprung.txt"
SECRET = "s3cret-of-the-environment"
CALLBACK = "{_target_: logging.FileHandler, filename: sprung.txt, mode: w}"
HANDLER = "{class: logging.FileHandler, filename: sprung.txt}"
HEAD = "# @package _global_\n"


class Spring:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path(SPRUNG).write_text, ("unpickled",))


RECORDED = {
    "a callback": [f"+hydra.callbacks.x={CALLBACK}"],
    "a callback, key by key": ["+hydra.callbacks.x._target_=pathlib.Path", "+hydra.callbacks.x._args_=[sprung.txt]"],
    "a callback that unpickles": ["+hydra.callbacks.x={_target_: torch.load, f: evil.pt, weights_only: false}"],
    "a handler of the log": [f"hydra.job_logging.handlers.file.{each}" for each in ("filename=sprung.txt", "mode=w")],
    "a handler of Hydra's log": ["+hydra.hydra_logging.handlers.x={class: logging.FileHandler, filename: sprung.txt}"],
    # variants of ours
    "another folder of options": ["hydra.searchpath=[file://${oc.env:PWD}/theirs]", "+experiment=evil"],
    "an option that is a path": ["experiment=../../theirs/experiment/evil"],
    "a list of options": ["experiment=[../../theirs/experiment/evil]"],
    "a group moved": ["+experiment@hydra.callbacks=evil"],
    "another launcher": ["hydra.launcher._target_=logging.FileHandler", "+hydra.launcher.filename=sprung.txt"],
    "the environment": ["+hydra.job.env_set={WANDB_BASE_URL: 'http://127.0.0.1:9'}"],
    "a value of the environment": ["trainer.max_steps=${oc.env:A_SECRET}"],
    "one within quotes": ["lora.rank='${oc.env:A_SECRET}'"],
    "one within an argument": ["++optim.args={eps: '${oc.env:A_SECRET}'}"],
    "one behind backslashes": ["data.path='\\\\${oc.env:A_SECRET}'"],
    "another place for the run": ["hydra.run.dir=elsewhere", "hydra.output_subdir=x"],
    "a change of folder": ["hydra.job.chdir=true"],
    "a deletion": ["~hydra.job_logging.handlers.file"],
    "a line break": ["seed=1\nhydra.run.dir=elsewhere"],
}  # fmt: skip
OF_A_SWEEP = {
    **RECORDED,
    "a command before each job": ["hydra/launcher=submitit_slurm", "hydra.launcher.setup=['touch sprung.txt']"],
    "a line for the queue": ["hydra/launcher=submitit_slurm", "hydra.launcher.partition='gpu; touch sprung.txt'"],
    "another python": ["hydra/launcher=submitit_local", "+hydra.launcher.python=./evil"],
    "a cluster": ["hydra/launcher=ray", "hydra.launcher.ray.init.address=ray://127.0.0.1:9"],
    "a study elsewhere": ["hydra/sweeper=optuna", "hydra.sweeper.storage=sqlite:///elsewhere.db"],
    "a study outside by a link up": ["hydra/sweeper=optuna", "hydra.sweeper.storage=journal:sweep/../elsewhere.log"],
    "what is gone over": ["+hydra.sweeper.params.+hydra.callbacks.x._target_=logging.FileHandler"],
}
FILES = {
    "callbacks": {"experiment/evil.yaml": HEAD + f"hydra: {{callbacks: {{x: {CALLBACK}}}}}\n"},
    "job_logging": {
        "experiment/evil.yaml": HEAD + "hydra: {job_logging: {handlers: {file: {filename: sprung.txt}}}}\n"
    },
    "a target": {"experiment/evil.yaml": HEAD + "weighting: {_target_: logging.FileHandler, filename: sprung.txt}\n"},
    "the environment": {"experiment/evil.yaml": HEAD + "lora: {rank: '${oc.env:A_SECRET}'}\n"},
    # variants of ours
    "a package": {"experiment/evil.yaml": f"# @package hydra.callbacks\nx: {CALLBACK}\n"},
    "a group moved": {
        "experiment/evil.yaml": HEAD + "defaults: [/lora@hydra.callbacks: theirs]\n",
        "lora/theirs.yaml": f"x: {CALLBACK}\n",
    },
    "a part of Hydra": {
        "experiment/evil.yaml": HEAD + "seed: 1\n",
        "hydra/job_logging/plain.yaml": f"version: 1\nhandlers: {{x: {HANDLER}}}\nroot: {{handlers: [x]}}\n",
    },
    "the schema": {
        "experiment/evil.yaml": HEAD + "evil: 1\n",
        "train_schema.yaml": f"hydra: {{callbacks: {{x: {CALLBACK}}}}}\n",
    },
    "another sweeper": {
        "experiment/evil.yaml": HEAD + "hydra: {sweeper: {_target_: logging.FileHandler, filename: sprung.txt}}\n"
    },
    "another launcher": {
        "experiment/evil.yaml": HEAD + "defaults: [override /hydra/launcher: theirs]\n",
        "hydra/launcher/theirs.yaml": "_target_: logging.FileHandler\nfilename: sprung.txt\n",
    },
    "what is gone over": {
        "experiment/evil.yaml": HEAD + "hydra: {sweeper: {params: {+hydra.callbacks.x._target_: logging.Handler}}}\n"
    },
    "an entry that leaves the folder": {
        "experiment/evil.yaml": HEAD + "defaults: [../../elsewhere/evil]\n",
        "../elsewhere/evil.yaml": HEAD + f"hydra: {{callbacks: {{x: {CALLBACK}}}}}\n",
    },
    "an entry that is computed": {"experiment/evil.yaml": HEAD + "defaults: [/lora: '${oc.env:A_SECRET}']\n"},
    "a list within": {"experiment/evil.yaml": HEAD + "sampler: {prompts: ['a ${oc.env:A_SECRET}']}\n"},
    "another resolver": {"experiment/evil.yaml": HEAD + "data: {path: '${oc.decode:${oc.env:A_SECRET}}'}\n"},
    "spaces in it": {"experiment/evil.yaml": HEAD + "data: {path: '${ oc.env:A_SECRET}'}\n"},
    "the environment of jobs": {"experiment/evil.yaml": HEAD + "hydra: {job: {env_copy: [A_SECRET]}}\n"},
    "parts by name": {
        "experiment/evil.yaml": HEAD + "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True))
    },
    "a part that holds itself": {"experiment/evil.yaml": HEAD + "a: &a [*a]\n"},
    "a deep one": {"experiment/evil.yaml": HEAD + "a: " + "[" * 3000 + "]" * 3000 + "\n"},
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what strangers' records name, and a secret in the environment."""
    monkeypatch.setenv("A_SECRET", SECRET)
    monkeypatch.setenv("PWD", str(tmp_path))
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Spring()))
    write(tmp_path / "theirs", {"experiment/evil.yaml": HEAD + f"hydra: {{callbacks: {{x: {CALLBACK}}}}}\n"})
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def refused(here: Path, outcome: Outcome) -> str:
    """What a command said that has done nothing: one error, no file, no secret."""
    files = {p.name for p in here.rglob("*")}
    assert "Traceback" not in outcome.printed, outcome.printed
    assert outcome.status in (1, 2), outcome.printed
    assert "error: " in outcome.printed
    assert SECRET not in outcome.printed
    assert not files & {SPRUNG, "elsewhere.db", "elsewhere.log", "checkpoint_final"}
    assert not (here / "elsewhere" / ".hydra").exists()
    return outcome.printed


@pytest.mark.parametrize("kind", RECORDED)
def test_a_runs_record_gives_settings_and_nothing_else(kind: str, here: Path) -> None:
    run = write_record(here / "run", *QUICK, "trainer.max_steps=1", *RECORDED[kind])
    told = refused(here, run_in(here, ["python", "train.py", "resume=run"]))
    assert "is no setting of a training as plain text" in told
    assert {p.name for p in run.iterdir()} == {"run.json"}


@pytest.mark.parametrize("kind", OF_A_SWEEP)
def test_a_sweeps_record_gives_settings_and_nothing_else(kind: str, here: Path) -> None:
    sweep = here / "sweep"
    sweep.mkdir()
    overrides = [*QUICK, "trainer.max_steps=1", "seed=1,2", *OF_A_SWEEP[kind]]
    record = {"flags": [], "overrides": overrides, "jobs": None, "objective": "validation_loss", "launched": "then"}
    (sweep / "sweep.json").write_text(json.dumps(record))
    told = refused(here, run_in(here, ["python", "train.py", "resume=sweep"]))
    assert "which is not taken from a file" in told
    assert {p.name for p in sweep.iterdir()} == {"sweep.json"}


def test_a_sweeps_folder_of_options_is_typed_again_unless_it_lies_within(here: Path) -> None:
    sweep = here / "sweep"
    sweep.mkdir()
    record = {"flags": [f"--config-dir={here / 'theirs'}"], "overrides": ["experiment=evil", "seed=1,2"], "jobs": None,
              "objective": "validation_loss", "launched": "then"}  # fmt: skip
    (sweep / "sweep.json").write_text(json.dumps(record))
    told = refused(here, run_in(here, ["python", "train.py", "resume=sweep"]))
    assert "type --config-dir= with that folder again" in told
    told = refused(here, run_in(here, ["python", "train.py", "resume=sweep", "--config-dir=theirs"]))
    assert "sets hydra.callbacks" in told


@pytest.mark.parametrize("kind", FILES)
def test_an_option_of_ones_own_gives_settings_and_nothing_else(kind: str, here: Path) -> None:
    write(here / "options", FILES[kind])
    flags = ["-m", "seed=1,2"] if kind in ("what is gone over", "another sweeper", "another launcher") else []
    quick = [*QUICK, "trainer.max_steps=1"]
    told = refused(
        here, run_in(here, ["python", "train.py", "--config-dir=options", "experiment=evil", *flags, *quick])
    )
    remedies = "write the value itself|trusted targets|remove it|take one of|write it anew|unknown key"
    assert re.search(remedies, told), told


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        (["--experimental-rerun", "config.pickle"], "resume=RUN"),
        (["--config-path", "theirs"], "--config-dir=FOLDER"),
        (["--config-name=evil"], "--config-dir=FOLDER"),
        (["hydra.searchpath=[theirs]"], "--config-dir=FOLDER"),
        (["--config-dir=nowhere"], "no such folder"),
    ],
)
def test_what_replaces_the_checked_configuration_is_not_taken(typed: list[str], remedy: str, here: Path) -> None:
    (here / "config.pickle").write_bytes(pickle.dumps(Spring()))
    assert remedy in refused(here, run_in(here, ["python", "train.py", *typed]))


def test_a_typed_value_of_the_environment_is_not_told_in_an_error(here: Path) -> None:
    told = refused(here, run_in(here, ["python", "train.py", "lora.rank='${oc.env:A_SECRET}'"]))
    assert "lora.rank" in told
    assert "${oc.env:A_SECRET}" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lora: {rank: [8}\n", "line 2: is no YAML"),
        ("lora:\n\trank: 8\n", "line 3: is no YAML"),
        ("lora: {rank: 8}\nlora: {rank: 4}\n", "is no YAML (found duplicate key lora)"),
        ("lora: \xff\n", "is no UTF-8 text"),
        ("lora: {rank: 8\n", "is no YAML"),
        ("- lora\n", "holds ['lora'], and an option is keys with values, as 'rank: 8'; correct or remove it"),
        ("5\n", "holds 5, and an option is keys with values"),
        ("lora\n", "holds lora, and an option is keys with values"),
        ("defaults: x\n", "its defaults are no list but 'x'; write one such as [{override /lora: rank16}]"),
    ],
)
def test_a_file_that_is_no_option_is_named(text: str, said: str, here: Path) -> None:
    file = here / "options" / "experiment" / "evil.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes((HEAD + "" + text).encode("latin-1"))
    told = refused(here, run_in(here, ["python", "train.py", "--config-dir=options", "experiment=evil"]))
    assert said in told
    assert "evil" in told


def test_options_that_name_one_another_without_end_are_named_by_their_folder(here: Path) -> None:
    for own, other in (("evil", "worse"), ("worse", "evil")):
        write(here / "options", {f"experiment/{own}.yaml": f"{HEAD}defaults: [{{/experiment@{own}: {other}}}]\n"})
    told = refused(here, run_in(here, ["python", "train.py", "--config-dir=options", "experiment=evil"]))
    assert re.search(r"--config-dir=.*options: options there name themselves, or one another, .* remove one", told)


def test_launchers_sweepers_and_values_of_ones_own_are_taken(here: Path) -> None:
    """What our own files do: names of launchers and sweepers, plain keys of theirs, what is gone over, other keys."""
    write(
        here / "options",
        {
            "experiment/mine.yaml": HEAD + "defaults:\n  - override /hydra/launcher: cluster\n"
            "  - override /hydra/sweeper: optuna\n  - override /lora: rank16\n"
            "optim: {lr: '${share:0.5,${model.adam_lr}}'}\n"
            "hydra: {sweeper: {n_trials: 3, params: {lora.rank: 'range(4,9,4)', optim.lr: 'interval(1e-5,1e-3)'}}}\n",
            "hydra/launcher/cluster.yaml": "defaults: [submitit_slurm]\npartition: gpu\ntimeout_min: 600\n",
        },
    )  # fmt: skip
    outcome = run_in(here, ["python", "train.py", "-m", "--config-dir=options", "experiment=mine", "--cfg", "all"])
    assert outcome.status == 0, outcome.printed
    assert "partition: gpu" in outcome.printed
    assert "rank: 4" in outcome.printed
