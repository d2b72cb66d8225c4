"""A sweep's folder says what goes on in it, and nothing else does."""

import json
from pathlib import Path

import pytest

from spritelora.config.command_line import CommandLine
from spritelora.config.overrides import Overrides
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError, ResumeError
from spritelora.runs.sweep_record import (
    JobRecord,
    JobStatus,
    SweepRecord,
    now,
    read_job,
    read_sweep,
    write_job,
    write_sweep,
)

ASKED = ["lora=rank8,rank16", "sampler.prompts=a, b", "hardware.threads=1,2", "logger=csv", "output=first_place"]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "a sweep, of friday"
    mine = f"--config-dir={folder / 'mine'}"
    write_sweep(folder, SweepRecord([mine], ASKED, [[]] * 4, "validation_loss", now()))
    return folder


def test_a_sweep_that_goes_on_is_the_recorded_one_in_its_folder(sweep: Path) -> None:
    line = continue_sweep(CommandLine([], Overrides([f"resume={sweep}", "logger=wandb", "hydra/launcher=joblib"])))
    assert line.is_multirun
    assert line.config_dirs == [sweep / "mine"]
    settings, place = line.overrides[:-2], line.overrides[-2:]
    assert settings == [*ASKED[:3], "logger=wandb", "hydra/launcher=joblib"]
    assert place[0] == f"hydra.sweep.dir='{sweep}'"
    assert place[1].startswith("hydra.output_subdir=.hydra/resumed_")


def test_its_own_command_typed_again_goes_on_too(sweep: Path) -> None:
    typed = [f"output={sweep}", "logger=csv", *ASKED[:3]]
    line = continue_sweep(CommandLine(["-m", "--config-dir=/mine"], Overrides(typed)))
    assert line.overrides[:-2] == ASKED[:-1], "in the recorded order, which numbers the jobs"
    assert line.flags == ["--config-dir=/mine", "-m"]


def test_other_command_lines_stay_as_they_are(sweep: Path, tmp_path: Path) -> None:
    for flags, overrides in (
        (["-m"], ["lora=rank8,rank16"]),
        ([], [f"output={sweep}"]),
        ([], [f"resume={tmp_path}"]),
        (["-m"], [f"output={tmp_path}"]),
    ):
        line = CommandLine(flags, Overrides(overrides))
        assert continue_sweep(line) == line


@pytest.mark.parametrize("typed", ["lora=rank32", "trainer.max_steps=9", "hardware.threads=1", "seed=1"])
def test_what_would_make_it_another_sweep_is_refused(sweep: Path, typed: str) -> None:
    with pytest.raises(ConfigError, match=rf"goes on with that sweep's own settings, so {typed} cannot change"):
        continue_sweep(CommandLine([], Overrides([f"resume={sweep}", typed])))


def test_another_sweep_into_its_folder_is_refused(sweep: Path) -> None:
    with pytest.raises(ConfigError) as error:
        continue_sweep(CommandLine(["-m"], Overrides([f"output={sweep}", "lora=rank8,rank32", "seed=1", *ASKED[1:4]])))
    message = str(error.value)
    assert "holds another sweep" in message
    assert "lora=rank8,rank16 -> lora=rank8,rank32" in message
    assert "seed unset -> seed=1" in message
    assert "sampler" not in message


@pytest.mark.parametrize("content", ["{", "[]", '{"jobs": []}'])
def test_a_damaged_record_of_a_sweep_is_named(sweep: Path, content: str) -> None:
    (sweep / "sweep.json").write_text(content)
    with pytest.raises(ResumeError, match=r"sweep\.json: not a record of a sweep"):
        continue_sweep(CommandLine([], Overrides([f"resume={sweep}"])))


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    job = JobRecord(3, ["a=b"], JobStatus.failed, now(), 1.5, None, float("nan"), "no memory")
    write_job(tmp_path, job)
    assert json.loads((tmp_path / "job.json").read_text())["objective"] is None
    again = read_job(tmp_path)
    assert again is not None
    assert (again.status, again.number, again.objective, again.error) == (JobStatus.failed, 3, None, "no memory")
    assert not again.status.is_over
    record = SweepRecord([], ASKED, None, "halo", now())
    write_sweep(tmp_path, record)
    assert read_sweep(tmp_path) == record


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"status": "asleep"}'])
def test_a_job_without_a_whole_record_has_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "job.json").write_text(content)
    assert read_job(tmp_path) is None
