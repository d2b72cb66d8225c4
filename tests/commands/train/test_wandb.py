"""What goes to W&B, and what does not: against a server on a local socket, and in the files of offline runs."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from PIL import Image
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from spritelora.commands.compare.compare import compare
from spritelora.commands.validate.validate import validate
from spritelora.commands.validate.wandb_report import public_name, settle_project
from spritelora.commands.workspace import workspace
from spritelora.config.commands.compare import CompareConfig
from spritelora.config.commands.validate import ValidateConfig, ValidationSampler
from spritelora.config.commands.workspace import WorkspaceConfig
from spritelora.config.invocation import without_folders
from spritelora.errors import ConfigError, TrainingError
from spritelora.runs.record import RunRecord
from spritelora.training.loggers import TrainingLogger
from spritelora.training.logs.run_log import RunLog
from spritelora.training.logs.wandb_keys import SAMPLE_TABLE, SAMPLES, STRIPS
from spritelora.training.logs.wandb_run import PlannedRun, has_wandb_key, wandb_run
from tests.composing import compose
from tests.conftest import QUICK, ROOT
from tests.wandb_records import read_records
from tests.wandb_server import serve

VALIDATION = ValidateConfig(
    strengths=[0.5, 1.0], num_prompts=2, sampler=ValidationSampler(steps=2, guidance=1.5), batch_size=4, wandb=True
)
KEY = "a" * 40


def outside(**variables: str) -> dict[str, str]:
    """An environment without the tests' own W&B settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    return {**kept, "NETRC": "/dev/null", **variables}


class Logged:
    """What an offline run has on disk."""

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        until, told = time.monotonic() + 10, self.folder / "logs" / "debug-internal.log"
        while "stream: all finished" not in told.read_text() and time.monotonic() < until:
            time.sleep(0.05)  # W&B's process writes the end of an offline run after `finish` has returned
        self.records = read_records(file)
        (self.run,) = [r.run for r in self.records if r.HasField("run")]
        self.config = {u.key: json.loads(u.value_json) for u in self.run.config.update}
        self.history: list[dict[str, Any]] = [
            {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item}
            for r in self.records
            if r.HasField("history")
        ]
        updates = [u for r in self.records if r.HasField("summary") for u in r.summary.update]
        self.summary = {"/".join(u.nested_key) or u.key: json.loads(u.value_json) for u in updates}
        self.artifacts = [r.artifact for r in self.records if r.HasField("artifact")]

    @property
    def names(self) -> set[str]:
        """Everything that has a name in its history."""
        return {name for line in self.history for name in line}

    def tables(self, key: str) -> list[dict[str, Any]]:
        """The contents of every logged table of a name."""
        files = sorted(
            self.folder.glob(f"files/media/table/{key}_*.table.json"), key=lambda f: int(f.name.split("_")[-2])
        )
        return [json.loads(file.read_text()) for file in files]


def logged(run_dir: Path) -> list[Logged]:
    """The offline runs below a folder, in their order."""
    return [Logged(file) for file in sorted(run_dir.glob("wandb/offline-run-*/*.wandb"))]


def assert_private(text: str, *folders: Path) -> None:
    """Nothing in it tells of this machine."""
    for private in (os.uname().nodename, str(ROOT), str(Path.home()), *map(str, folders)):
        assert not re.search(rf"(?<![\w/]){re.escape(private)}(?!\w)", text), private


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Make W&B of this process go online to an address."""

    def to(url: str, **variables: str) -> None:
        wandb.teardown()  # it reads the environment once
        for name, value in {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online", **variables}.items():
            monkeypatch.setenv(name, value)

    yield to
    wandb.teardown()


@pytest.fixture(scope="module")
def offline(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was logged offline, stopped after 2 steps and gone on with to 4."""
    from spritelora.commands.train.train import train
    from spritelora.config.invocation import Invocation
    from tests.composing import compose

    run_dir = tmp_path_factory.mktemp("offline") / "greens"
    run_dir.mkdir()
    typed = (
        *QUICK, f"data.cache={cache}", "logger=wandb", "logger.tags=[mine]", "lora=rank16", "trainer.max_steps=2",
        "trainer.sample_every=1", "trainer.validate_every=1", "targets=wide", "optim.lr=0.01",
    )  # fmt: skip
    train(compose(*typed), Invocation(run_dir, typed))
    more = (f"resume={run_dir}", "trainer.max_steps=4")
    train(compose(*more), Invocation(run_dir, (*typed, *more)))
    return run_dir


def test_a_run_says_what_it_is_in_keys_that_wandb_filters(offline: Path) -> None:
    first, second = logged(offline)
    record = RunRecord.read(offline)
    assert {first.run.run_id, second.run.run_id} == {record.id}
    assert first.run.job_type == "train"
    assert {"mine", "rank16", "wide"} <= set(first.run.tags)
    assert "rank16" in first.run.display_name.split()
    assert first.config["lora/rank"] == 16
    assert first.config["optim/lr"] == 0.01
    assert not [key for key, value in first.config.items() if "." in key or (isinstance(value, dict) and value)]


def test_the_summary_holds_the_final_figures(offline: Path) -> None:
    series = json.loads((offline / "training_metrics.json").read_text())["series"]
    losses = [loss for _, loss in series["validation_loss"]]
    summary = logged(offline)[-1].summary
    assert summary["best_validation_loss"] == min(losses)
    assert summary["last_validation_loss"] == losses[-1]
    assert summary["max_peak_gb"] == max(peak for _, peak in series["peak_gb"])
    assert summary["training_time_s"] == pytest.approx(sum(seconds for _, seconds in series["step_time_s"]))
    assert summary["status"] == "finished"


def test_samples_are_a_table_by_step_that_a_resumed_run_has_whole(offline: Path) -> None:
    first, second = logged(offline)
    steps = [[row[0] for table in run.tables(SAMPLE_TABLE) for row in table["data"]] for run in (first, second)]
    assert steps == [[0, 1, 2], [0, 1, 2, 3, 4]]
    assert first.tables(SAMPLE_TABLE)[0]["columns"] == ["step", "prompt", "image", "base image"]
    assert {row[1] for table in first.tables(SAMPLE_TABLE) for row in table["data"]} == {"pixel art, red potion"}
    (image,) = (offline / "samples" / "step_000000").glob("*.png")
    staged = [Path(c.local_path) for a in first.artifacts for c in a.manifest.contents if c.path.endswith(".png")]
    assert image.read_bytes() in [file.read_bytes() for file in staged]
    assert all(file.is_relative_to(offline) for file in staged)
    assert f"{SAMPLES}/filenames" in first.names


def test_offline_runs_hold_nothing_of_this_machine_and_no_lora(offline: Path) -> None:
    for run in logged(offline):
        for artifact in run.artifacts:
            for content in artifact.manifest.contents:
                content.ClearField("local_path")  # never sent
        assert_private(" ".join(map(str, run.records)), offline)
        assert not run.run.host
        assert not [a for a in run.artifacts if a.type == "lora"]


def test_a_server_gets_what_was_asked_for_and_nothing_else(connect: Any, train_quickly: Any, cache: Path) -> None:
    with serve() as server:
        connect(server.url)
        run_dir = train_quickly(
            "logger=wandb", "logger.upload_lora=true", "logger.entity=me", "trainer.max_steps=2",
            "trainer.sample_every=1", "lora=rank16",
        )  # fmt: skip
        first, *_ = server.variables("UpsertBucket")
        assert "rank16" in first["displayName"].split()
        assert (first["jobType"], first["host"], first["repo"]) == ("train", None, None)
        assert first["program"] == "spritelora"
        sent = [a["input"] for a in server.variables("CreateArtifact")]
        assert [a["artifactTypeName"] for a in sent].count("lora") == 1
        files = [path for path, _ in server.requests if path.startswith("/upload/")]
        assert not [f for f in files if re.search(r"requirements|metadata|\.py$|log$|diff", f)]
        assert len([f for f in files if f.endswith(".png")]) == 3
        assert_private(server.text, run_dir, cache)


def test_a_server_that_cannot_be_reached_is_no_end_of_training(
    connect: Any, train_quickly: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connect("http://127.0.0.1:9", WANDB_INIT_TIMEOUT="2")
    run_dir = train_quickly("logger=wandb", "trainer.max_steps=1")
    assert (run_dir / "checkpoint_final").is_dir()
    assert "W&B cannot be reached" in caplog.text
    assert "this run is logged offline" in caplog.text
    assert f"to upload it: wandb sync {run_dir / 'wandb'}" in caplog.text
    (run,) = logged(run_dir)
    assert "validation_loss" in run.names
    assert not list((run_dir / "wandb").glob("run-*"))


def test_a_server_that_dies_is_no_end_of_a_run_and_all_can_be_uploaded_later(
    connect: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve() as server:
        connect(server.url, WANDB_FINISH_TIMEOUT="3")
        with wandb_run(PlannedRun(tmp_path, "art", "me", "dying", "train", {"lora.rank": 8}, id="d1")) as run:
            run.log({"loss": 1.0})
            server.die()
            run.log({"loss": 0.5})
    command = re.search(r"to upload it: wandb sync --include-online (\S+)", caplog.text)
    assert command is not None, caplog.text
    (kept,) = (Logged(file) for file in Path(command[1]).glob("*.wandb"))
    assert [line["loss"] for line in kept.history if "loss" in line] == [1.0, 0.5]
    shell = f"{sys.executable} -m wandb sync --dry-run --include-online {command[1]}"
    found = subprocess.run(["bash", "-c", shell], cwd=tmp_path, env=outside(), capture_output=True, text=True)
    assert "Would sync 1 run(s)" in found.stderr


def test_of_a_wandb_that_fails_no_more_is_asked(tmp_path: Path, caplog: Any) -> None:
    planned = PlannedRun(tmp_path, "art", None, "failing", "train", {}, id="f1")
    logger = TrainingLogger(planned, upload_lora=False)
    run_log = RunLog(tmp_path, logger, 0)
    logger.experiment.finish()  # from here on W&B refuses
    for step in (1, 2):
        run_log.log(step, {"loss": 1.0})
    logger.close(None)
    assert caplog.text.count("W&B failed") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.fixture(scope="module")
def validated(offline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run's validation, logged offline."""
    output = tmp_path_factory.mktemp("validated") / "validation"
    return validate(replace(VALIDATION, run=str(offline), output=str(output)))


def test_a_validation_is_logged_with_its_tables_and_pictures(offline: Path, validated: Path) -> None:
    (run,) = logged(validated)
    found = json.loads((validated / "validation.json").read_text())
    record = RunRecord.read(offline)
    assert (run.run.job_type, run.run.project) == ("validate", "spritelora")
    assert (run.config["run_id"], run.config["lora/rank"], run.config["drawn/steps"]) == (record.id, 16, 2)
    points = {line["strength"]: line for line in run.history if "strength" in line}
    assert set(points) == {0.0, 0.5, 1.0}
    told = found["metrics"]["palette_distance"]
    assert points[0.0]["by_strength/palette_distance/mean"] == pytest.approx(told["base"])
    assert points[1.0]["by_strength/palette_distance/mean"] == pytest.approx(told["by_strength"]["1"]["mean"])
    (answers,), (metrics,), (pictures,) = (run.tables(name) for name in ("answers", "metrics", "pictures"))
    assert [row[1] for row in answers["data"]] == [a["answer"] for a in found["answers"]]
    titles = [m["title"] for m in found["metrics"].values()]
    assert [row[0] for row in metrics["data"]] == ["colour distance", *titles]
    shown = found["shares"][f"{found['shown_strength']:g}"]
    assert run.summary["colour_distance"] == pytest.approx(shown["colour_distance"])
    assert [row[0] for row in pictures["data"]] == [p["prompt"] for p in found["prompts"]]
    strips = [Image.open(f) for f in (run.folder / "files" / "media" / "images").glob(f"{STRIPS}_*.png")]
    assert {s.size for s in strips} == {(4 * 128, 128)}
    assert run.summary["best_strength"] == found["best_strength"]
    assert run.summary["best_validation_loss"] == logged(offline)[-1].summary["best_validation_loss"]
    for artifact in run.artifacts:
        for content in artifact.manifest.contents:
            content.ClearField("local_path")
    assert_private(" ".join(map(str, run.records)), offline, validated)


def test_a_comparison_is_logged_with_its_table(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep" / "0").mkdir(parents=True)
    (tmp_path / "sweep" / "multirun.yaml").write_text("")
    (tmp_path / "sweep" / "0" / "train.log").write_text(f"x ERROR error: {tmp_path}/art/knight.png: unreadable\n")
    lora = str(offline / "checkpoint_final" / "lora.safetensors")
    places = [str(offline), lora, str(tmp_path / "sweep")]
    folder = compare(CompareConfig(runs=places, names=["run", lora, "failed"], wandb=True, project="us/art"), tmp_path)
    (run,) = logged(folder)
    assert (run.run.job_type, run.run.entity, run.run.project) == ("compare", "us", "art")
    (table,) = run.tables("runs")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["name"] for row in rows] == ["run", "lora.safetensors", "failed"]
    assert rows[0]["rank"] == 16
    assert rows[2]["problem"] == "knight.png: unreadable"
    text = json.dumps([run.config, run.tables("runs"), run.tables("verdicts"), run.run.display_name])
    assert_private(text, offline, tmp_path)


def test_the_project_is_the_runs_unless_another_is_asked_for() -> None:
    logger = {"project": "sprites", "entity": "we"}
    assert settle_project(None, logger) == ("sprites", "we")
    assert settle_project("mine", logger) == ("mine", None)
    assert settle_project("us/mine", logger) == ("mine", "us")
    assert settle_project(None, {}) == ("spritelora", None)


def test_hub_ids_stay_and_folders_do_not() -> None:
    assert public_name("stabilityai/stable-diffusion-xl-base-1.0") == "stabilityai/stable-diffusion-xl-base-1.0"
    for folder in ("/home/me/models/mine", "../mine", "~/mine", "a/b/mine", str(ROOT / "mine")):
        assert public_name(folder) == "mine"
    for folder in (r"C:\Users\me\mine", r"..\mine", r"\\server\me\mine", "C:/Users/me/mine"):
        assert public_name(folder) == without_folders(folder) == "mine"
    assert without_folders(r"C:\me\x: no such file; {to_\d:4}") == r"x: no such file; {to_\d:4}"


def test_the_workspace_shows_what_runs_really_log(offline: Path, validated: Path, tmp_path: Path) -> None:
    trained, judged = logged(offline)[-1], logged(validated)[0]
    file = tmp_path / "workspace.json"
    workspace.lay_out(WorkspaceConfig(project="art", entity="me", output=str(file)), tmp_path)
    view = json.loads(file.read_text())
    assert (view["project"], view["entity"]) == ("art", "me")
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    panels = [panel for section in sections for panel in section["panels"]]
    told = {**trained.summary, **judged.summary}
    names = {name.partition("/filenames")[0] for run in (trained, judged) for name in run.names}
    kinds: set[str] = set()
    for panel in panels:
        kind, config = panel["viewType"], panel["config"]
        kinds.add(kind)
        if kind == "Run History Line Plot":
            assert config["xAxis"] in names
            assert set(config.get("metrics") or []) <= names
            if pattern := config.get("metricRegex"):
                assert len([name for name in names if re.fullmatch(pattern, name)]) == 2
        elif kind == "Parallel Coordinates Plot":
            for column in config["columns"]:
                place, _, name = column["accessor"].partition(":")
                assert name in told if place == "summary" else name.removesuffix(".value") in trained.config
        elif kind == "Media Browser":
            assert set(config["mediaKeys"]) <= names
        elif kind == "Parameter Importance":
            assert config["targetKey"] in told
        elif kind == "Weave":
            text = json.dumps(config)
            assert any(f'"{table.split("/")[0]}"' in text for table in names if table.endswith("/ncols"))
    assert {"Run History Line Plot", "Parallel Coordinates Plot", "Media Browser", "Weave"} <= kinds


def test_a_workspace_without_a_key_is_a_file(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    caplog.set_level("INFO")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", "/dev/null")
    workspace.lay_out(WorkspaceConfig(), tmp_path)
    assert (tmp_path / "workspace.json").is_file()
    assert "no API key is set, so nothing was sent" in caplog.text
    with pytest.raises(ConfigError, match="exists: name another output="):
        workspace.lay_out(WorkspaceConfig(output=str(tmp_path / "workspace.json")), tmp_path)


def test_a_workspace_that_cannot_be_written_or_sent_says_why(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"name another file: output="):
        workspace.lay_out(WorkspaceConfig(output="/proc/nowhere/workspace.json"), tmp_path)


def test_without_the_extra_the_command_names_it(tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "workspace.py")
    code = f"import sys; sys.argv = [{script!r}, 'output=x.json']; sys.modules['wandb_workspaces'] = None; " + (
        f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=outside(), capture_output=True, text=True)
    assert result.returncode == 2
    assert "pip install 'spritelora[workspace]'" in result.stderr


@pytest.mark.slow
def test_an_agent_of_a_wandb_sweep_starts_a_run_under_the_id_it_was_given(tmp_path: Path, cache: Path) -> None:
    """The agent is W&B's own; what its server would say is given to it."""
    sweep = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text())
    chosen = {name: p["values"][0] if "values" in p else p["min"] for name, p in sweep["parameters"].items()}
    chosen |= dict(o.split("=", 1) for o in QUICK) | {"logger": "wandb", "data.cache": str(cache)}
    chosen |= {"trainer.max_steps": 1, "output": str(tmp_path / "run")}
    script = (
        "import json, sys; from wandb.wandb_agent import Agent; command, told = map(json.loads, sys.argv[1:])\n"
        "agent = Agent(None, None, sweep_id='s1'); agent._sweep_command = command; agent._command_run(told)\n"
        "sys.exit(agent._run_processes['given1'].wait())"
    )
    command = [sys.executable if word == "python" else word for word in sweep["command"]]
    told = {"run_id": "given1", "program": sweep["program"], "args": {k: {"value": v} for k, v in chosen.items()}}
    result = subprocess.run(
        [sys.executable, "-c", script, json.dumps(command), json.dumps(told)],
        cwd=ROOT, env=outside(WANDB_MODE="offline", WANDB_SWEEP_ID="s1", WANDB_DIR=str(tmp_path)),
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    record = RunRecord.read(tmp_path / "run")
    assert (record.id, record.settings.lora.rank) == ("given1", 8)
    assert record.settings.optim.lr == sweep["parameters"]["optim.lr"]["min"]
    (run,) = logged(tmp_path / "run")
    assert run.run.run_id == "given1"
    assert sweep["metric"]["name"] in run.names


def test_every_choice_of_the_sweep_for_wandb_passes_the_door_as_wandb_types_it() -> None:
    sweep = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text())
    choices = {name: p["values"] if "values" in p else [p["min"], p["max"]] for name, p in sweep["parameters"].items()}
    for number in range(max(map(len, choices.values()))):
        args = {name: {"value": values[min(number, len(values) - 1)]} for name, values in choices.items()}
        typed = create_sweep_command_args({"args": args})["args_no_hyphens"]
        config = compose(*typed)
        assert config.optim.lr == args["optim.lr"]["value"]
        assert f"rank{config.lora.rank}" == args["lora"]["value"]
    assert sweep["command"] == ["${env}", "python", sweep["program"], "${args_no_hyphens}"]


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_the_key_of_wandb_login_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B writes it to `_netrc` on Windows."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(variable, raising=False)
    assert not has_wandb_key()
    (tmp_path / name).write_text("machine api.wandb.ai login user password 0123\n")
    assert has_wandb_key()
