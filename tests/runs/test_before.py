"""Runs that the version before the house wrote: they go on, and validate, export and compare with this one."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from spritelora.commands.compare.compare import compare
from spritelora.commands.export.export import export
from spritelora.commands.train.train import train
from spritelora.commands.validate.validate import validate
from spritelora.config.command_line import CommandLine
from spritelora.config.commands.compare import CompareConfig
from spritelora.config.commands.export import ExportConfig
from spritelora.config.commands.validate import ValidateConfig, ValidationSampler
from spritelora.config.invocation import Invocation
from spritelora.config.overrides import Overrides
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.data_keys import Balance
from spritelora.config.train.schema import TrainConfig
from spritelora.door.auto_resume import settle_auto
from spritelora.errors import ResumeError
from spritelora.runs.layout import RECORD
from spritelora.runs.metrics import LINES, read_events, series
from spritelora.runs.record import RunRecord, from_json
from tests.composing import compose
from tests.conftest import ROOT, assert_same_tensors, lora_of
from tests.runs.before.base import write_base, write_sprites

BEFORE = ROOT / "tests" / "runs" / "before"
RUNS = ("plain", "dora")
each_run = pytest.mark.parametrize("name", RUNS)


@pytest.fixture(scope="module")
def begun_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the runs were begun in, as their records have it: with the base and the sprites."""
    folder = tmp_path_factory.mktemp("before")
    write_base(folder / "base")
    write_sprites(folder / "sprites")
    return folder


@pytest.fixture
def runs(begun_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the runs."""
    monkeypatch.chdir(begun_in)
    for name in RUNS:
        shutil.copytree(BEFORE / name, tmp_path / name)
    return tmp_path


@each_run
def test_their_records_are_read(name: str) -> None:
    record = RunRecord.read(BEFORE / name)
    assert record.settings.lora.rank == 1
    assert record.settings.adapter.kind is (AdapterKind.dora if name == "dora" else AdapterKind.lora)
    assert record.model.weights is not None
    assert record.unknown == {}
    assert [RunRecord.read(BEFORE / name / f"checkpoint_{step}").id for step in ("step_2", "final")] == [record.id] * 2


@each_run
def test_a_default_of_before_is_kept_where_it_was_not_typed(name: str) -> None:
    content = json.loads((BEFORE / name / RECORD).read_text(encoding="utf-8"))
    assert from_json(content).defaults_then["objective.unmasked_weight"] == 0
    content["overrides"].append("objective.unmasked_weight=0")
    assert "objective.unmasked_weight" not in from_json(content).defaults_then


@each_run
def test_they_go_on_to_the_weights_that_they_had(name: str, runs: Path) -> None:
    """From the checkpoint in the middle over the end, where the same sprites and noise give the same losses."""
    run = runs / name
    typed = (f"resume={run}", "trainer.max_steps=6", "trainer.save_every=4")
    losses, before = dict(series(read_events(run / LINES), "loss")), lora_of(run)
    shutil.rmtree(run / "checkpoint_final")
    settings = compose(*typed)
    train(settings, Invocation(run, typed))
    again = dict(series(read_events(run / LINES), "loss"))
    assert list(again) == [1, 2, 3, 4, 5, 6]
    assert {step: again[step] for step in losses} == pytest.approx(losses, rel=1e-4)
    after = lora_of(run, "checkpoint_step_4")
    assert after.keys() == before.keys()
    # Adam's first steps move a number by less than twice the rate each; two are taken here and two were taken there.
    farthest = max(float((after[key].float() - before[key].float()).abs().max()) for key in before)
    assert farthest <= 2 * 2 * 2 * settings.optim.lr
    assert RunRecord.read(run).id == RunRecord.read(BEFORE / name).id


def test_they_keep_their_balance_and_matte_where_defaults_have_changed_since(runs: Path) -> None:
    run = runs / "plain"
    record = json.loads((run / RECORD).read_text())
    assert "balance" not in record["settings"]["data"]
    record["data"]["matte"] = "#102030"  # as an older rule would have chosen
    (run / RECORD).write_text(json.dumps(record))
    typed = (f"resume={run}", "trainer.max_steps=5")
    with pytest.raises(ResumeError, match=r"data\.balance: file -> subject"):
        train(compose(*typed, "data.balance=subject"), Invocation(run, typed))
    train(compose(*typed), Invocation(run, typed))
    after = RunRecord.read(run)
    assert (after.settings.data.balance, after.data.matte, after.data.factor) == (Balance.file, "#102030", 4)


def test_auto_finds_them_though_a_default_has_changed_since(runs: Path) -> None:
    run = runs / "plain"
    recorded = Overrides(RunRecord.read(run).overrides).without("output")
    line = CommandLine([], Overrides([*recorded, "resume=auto", f"output={run}"]))
    assert compose(*recorded).data.balance is Balance.subject
    settled = settle_auto(line, ROOT / "conf", "train", TrainConfig)
    assert f"resume={run}" in settled.overrides
    assert compose(*settled.overrides).data.balance is Balance.file
    asked = line.with_overrides([*line.overrides, "data.balance=file"])
    assert f"resume={run}" in settle_auto(asked, ROOT / "conf", "train", TrainConfig).overrides


@each_run
def test_they_export(name: str, runs: Path) -> None:
    export(ExportConfig(run=str(runs / name), output=str(runs / "exported.safetensors")))
    assert_same_tensors(load_file(runs / "exported.safetensors"), lora_of(runs / name))


def test_they_validate_and_compare(runs: Path) -> None:
    sampler = ValidationSampler(steps=1, guidance=1.0)
    for name in RUNS:
        output = runs / name / "validation"
        validate(
            ValidateConfig(run=str(runs / name), output=str(output), strengths=[1.0], num_prompts=1, sampler=sampler)
        )
        record = json.loads((output / "validation.json").read_text())
        assert (record["settings"]["run"], record["best_strength"]) == (name, 1.0)
    compared = runs / "compared"
    compare(CompareConfig(runs=[str(runs / name) for name in RUNS], output=str(compared)), compared)
    with (compared / "comparison.csv").open() as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    shown = {name: (rows[name]["status"], rows[name]["step"], rows[name]["strength"]) for name in RUNS}
    assert shown == dict.fromkeys(RUNS, ("finished", "4", "1.0"))


def test_they_tell_nothing_of_the_machine_that_made_them() -> None:
    files = [file for name in RUNS for file in (BEFORE / name).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 200_000
    assert not [f for f in files if any(word in f.read_bytes() for word in (b"/work", b"/tmp", b"/root", b"/home"))]
