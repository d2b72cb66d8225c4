"""Names that keys had in earlier versions go on: typed, in a run's record, in a sweep's."""

from pathlib import Path

import pytest

from spritelora.config.command_line import CommandLine
from spritelora.config.former_names import former_names, settle_typed
from spritelora.config.overrides import Overrides
from spritelora.config.strict import schema_paths
from spritelora.door.command_table import COMMANDS
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError
from spritelora.runs.record import RunRecord
from spritelora.runs.resume import replay_overrides
from spritelora.runs.sweep_record import JobRecord, JobStatus, SweepRecord, now, read_job, write_job, write_sweep
from tests.composing import compose
from tests.documents import run_in
from tests.records import plain_record, write_record

RENAMED = [
    ("caption", "dataset", "data.path"),
    ("validate", "lora", "loras"),
    ("validate", "weights", "lora_strengths"),
    ("compare", "validation.weights", "validation.lora_strengths"),
    ("generate", "lora", "loras"),
    ("generate", "weights", "lora_strengths"),
    ("lora", "strengths", "lora_strengths"),
    ("export", "strengths", "lora_strengths"),
    ("train", "adapter.factor", "adapter.lokr_factor"),
]


@pytest.mark.parametrize(("command", "former", "key"), RENAMED)
def test_a_former_name_stands_for_the_key_and_says_so(command: str, former: str, key: str) -> None:
    schema = COMMANDS[command].schema
    typed = Overrides([f"++{former}=[a=b]", "output=c"])
    settled, (line,) = settle_typed(typed, schema)
    assert settled == [f"++{key}=[a=b]", "output=c"]
    assert f"{former}= is now {key}=" in line


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda c: c.name)
def test_no_former_name_is_a_key_of_now(command: object) -> None:
    schema = COMMANDS[getattr(command, "name", "")].schema
    names = former_names(schema)
    assert not names.keys() & schema_paths(schema).keys()


def test_a_key_given_by_both_its_names_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"strengths= is now lora_strengths=, and both are given: leave strengths= out"
    ):
        settle_typed(Overrides(["strengths=[1]", "lora_strengths=[2]"]), COMMANDS["lora"].schema)


def test_a_command_typed_with_a_former_name_runs(tmp_path: Path) -> None:
    shown = run_in(tmp_path, ["python", "scripts/caption.py", "dataset=art", "--cfg", "job"])
    assert shown.status == 0
    assert "dataset= is now data.path=" in shown.printed
    assert "path: art" in shown.printed


def test_a_file_of_the_user_with_a_former_name_is_told_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nadapter: {factor: 8}\n")
    refused = run_in(tmp_path, ["python", "train.py", f"--config-dir={tmp_path}", "experiment=mine"])
    assert refused.status == 2
    assert (
        "unknown key 'adapter.factor' in conf/experiment/mine.yaml: it is now 'adapter.lokr_factor'" in refused.printed
    )


def test_a_run_recorded_with_a_former_name_goes_on(tmp_path: Path) -> None:
    recorded = plain_record()
    recorded["settings"]["adapter"].pop("lokr_factor")
    run = write_record(tmp_path / "run", "adapter=lokr", "adapter.factor=8", settings=recorded["settings"])
    text = (run / "run.json").read_text().replace('"lokr_factor": -1', '"factor": 8')
    (run / "run.json").write_text(text)
    record = RunRecord.read(run)
    assert record.settings.adapter.lokr_factor == 8
    assert not record.unknown
    assert record.overrides == ["adapter=lokr", "adapter.lokr_factor=8"]
    assert compose(f"resume={run}").adapter.lokr_factor == 8
    assert "adapter.lokr_factor=4" in replay_overrides([f"resume={run}", "adapter.lokr_factor=4"], is_multirun=False)


def test_a_sweep_recorded_with_a_former_name_goes_on(tmp_path: Path) -> None:
    asked = ["adapter=lokr", "adapter.factor=4,8"]
    write_sweep(tmp_path, SweepRecord([], asked, [["adapter.factor=4"]], "validation_loss", now()))
    line = continue_sweep(CommandLine([], Overrides([f"resume={tmp_path}"])))
    assert line.overrides[:2] == ["adapter=lokr", "adapter.lokr_factor=4,8"]
    write_job(tmp_path, JobRecord(0, ["adapter.factor=4"], JobStatus.running, now()))
    job = read_job(tmp_path)
    assert job is not None
    assert job.overrides == ["adapter.lokr_factor=4"]
