"""`scripts/compare.py`: runs good and bad, files and sweeps in one table."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spritelora.commands.compare.compare import compare, validation_folders
from spritelora.commands.validate.validate import validate
from spritelora.config.commands.compare import CompareConfig
from spritelora.config.commands.validate import ValidateConfig, ValidationSampler
from spritelora.errors import ConfigError
from spritelora.runs.sweep_record import JobRecord, JobStatus, now, write_job
from spritelora.sweeps.rows import Entry
from tests.commands.conftest import train_short
from tests.running import Ready, either_start, run_python

FEW = ValidateConfig(
    strengths=[1.0], num_prompts=3, images_per_prompt=2, sampler=ValidationSampler(steps=2, guidance=1.5)
)


@pytest.fixture(scope="module")
def pair(short_run: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two finished runs, the second of another rank, rate and length; neither is written to."""
    folder = tmp_path_factory.mktemp("pair")
    other = train_short(folder / "other", cache, "lora.rank=4", "lora.alpha=2", "optim.lr=0.001", "trainer.max_steps=3")
    return Path(shutil.copytree(short_run, folder / "greens")), other


@pytest.fixture
def half(pair: tuple[Path, Path], tmp_path: Path) -> Path:
    """A run that stopped at its first step."""
    half = Path(shutil.copytree(pair[0], tmp_path / "half"))
    shutil.rmtree(half / "checkpoint_final")
    lines = (half / "metrics.jsonl").read_text().splitlines()
    (half / "metrics.jsonl").write_text("\n".join([*lines[:2], lines[2][:7]]))
    (half / "train.log").write_text("2026-01-01 00:00:00,000 ERROR error: out of GPU memory; try less\n")
    return half


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "comparison.csv").open() as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def test_runs_files_and_failures_are_rows(pair: tuple[Path, Path], half: Path, tmp_path: Path) -> None:
    file = tmp_path / "given.safetensors"
    shutil.copy(pair[1] / "checkpoint_final" / "lora.safetensors", file)
    out = compare(CompareConfig([str(p) for p in (half, *pair, file)]), tmp_path / "out")
    rows = table(out)
    assert list(rows) == [*sorted(list(rows)[:3], key=lambda n: float(rows[n]["validation_loss"])), "given"]
    greens, other = rows["greens"], rows["other"]
    assert "rank=4" in other["differs"]
    assert "max_steps=3" in other["differs"]
    assert "rank=4" not in greens["differs"]
    assert (greens["rank"], greens["alpha_over_rank"], greens["lr"], greens["status"]) == (
        "8",
        "1.0",
        "0.01",
        "finished",
    )
    assert (other["rank"], other["alpha_over_rank"], other["step"], other["max_steps"]) == ("4", "0.5", "3", "3")
    assert (other["optimizer"], other["batch_size"]) == ("AdamW", "4")
    losses = json.loads((pair[1] / "training_metrics.json").read_text())["values"]
    for column in ("validation_loss", "validation_loss_0_500", "validation_loss_500_1000"):
        assert float(other[column]) == losses[column]["last"]
    assert float(other["time_s"]) > 0
    assert float(other["peak_gb"]) > 0
    assert float(other["file_mb"]) == pytest.approx(file.stat().st_size / 1e6)
    assert (rows["half"]["status"], rows["half"]["file_mb"]) == ("unfinished", "")
    assert rows["half"]["problem"].endswith("of 6: out of GPU memory; try less")
    given = rows["given"]
    assert (given["status"], given["base"], given["rank"], given["alpha_over_rank"], float(given["lr"])) == (
        "file", other["base"], "4", "0.5", 0.001,
    )  # fmt: skip
    assert [r["name"] for r in json.loads((out / "comparison.json").read_text())["rows"]] == list(rows)
    assert "None of these has a validation" in (out / "comparison.html").read_text()


def test_a_run_stopped_between_two_logged_steps_is_at_its_checkpoint(half: Path, tmp_path: Path) -> None:
    (half / "checkpoint_step_5").mkdir(exist_ok=True)
    (half / "metrics.jsonl").write_text("")
    (half / "train.log").write_text("")
    row = table(compare(CompareConfig([str(half)]), tmp_path / "out"))["half"]
    assert (row["step"], row["problem"]) == ("5", "stopped at step 5 of 6")


def test_measured_runs_are_held_against_each_other_image_by_image(pair: tuple[Path, Path], tmp_path: Path) -> None:
    runs = [Path(shutil.copytree(run, tmp_path / run.name)) for run in pair]
    validate(replace(FEW, run=str(runs[0])))
    written = (runs[0] / "validation" / "validation.json").stat().st_mtime_ns
    config = CompareConfig([str(r) for r in runs], sort="palette_distance", measure=True, validation=FEW)
    out = compare(config, tmp_path / "out")
    assert (runs[0] / "validation" / "validation.json").stat().st_mtime_ns == written
    found = json.loads((runs[1] / "validation" / "validation.json").read_text())
    mean = found["metrics"]["palette_distance"]["by_strength"]["1"]["mean"]
    assert float(table(out)["other"]["palette_distance"]) == mean
    assert list(table(out)) == sorted(table(out), key=lambda n: float(table(out)[n]["palette_distance"]))
    page = (out / "comparison.html").read_text()
    assert "image by image" in page
    assert "The same prompt and noise" in page
    assert "too few pairs" not in page


def test_jobs_of_a_sweep_are_rows_with_those_that_left_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    for number, run in ((0, pair[0]), (3, pair[1])):
        shutil.copytree(run, sweep / str(number))
    (sweep / "2").mkdir()
    (sweep / "2" / "train.log").write_text("2026-01-01 00:00:00,000 ERROR error: no such folder\n")
    (sweep / "4").mkdir()
    write_job(sweep / "4", JobRecord(4, [], JobStatus.failed, now(), error="MemoryError: no room"))
    out = compare(CompareConfig([str(sweep)], names=["a", "b", "c", "d", "e"], sort="name"), tmp_path / "out")
    assert [(n, r["status"], r["problem"]) for n, r in table(out).items()] == [
        ("a", "finished", ""), ("b", "failed", "left no record: it failed before the first step"),
        ("c", "failed", "no such folder"), ("d", "finished", ""), ("e", "failed", "MemoryError: no room"),
    ]  # fmt: skip


def test_a_damaged_record_is_a_row(pair: tuple[Path, Path], half: Path, tmp_path: Path) -> None:
    (half / "run.json").write_text("{")
    out = compare(CompareConfig([str(half), str(pair[0])]), tmp_path / "out")
    assert table(out)["half"]["status"] == "failed"
    assert "not a run record" in table(out)["half"]["problem"]


def test_what_cannot_be_measured_stays_a_row(pair: tuple[Path, Path], tmp_path: Path) -> None:
    file = pair[0] / "checkpoint_final" / "lora.safetensors"
    out = compare(CompareConfig([str(file)], measure=True, validation=FEW), tmp_path / "out")
    (row,) = table(out).values()
    assert row["name"] == "greens"
    assert row["problem"].startswith("not validated: data.path is not set")


def test_runs_of_different_models_do_not_compare(pair: tuple[Path, Path], half: Path, tmp_path: Path) -> None:
    record = json.loads((half / "run.json").read_text())
    record["settings"]["model"]["path"] = "stabilityai/stable-diffusion-xl-base-1.0"
    (half / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"different base models.*: greens; stabilityai/.*: half; give those of one"):
        compare(CompareConfig([str(pair[0]), str(half)]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_on_other_weights_of_one_base_are_told(
    pair: tuple[Path, Path], half: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = json.loads((half / "run.json").read_text())
    for weights in (record["model"]["weights"], None):
        (half / "run.json").write_text(json.dumps({**record, "model": {**record["model"], "weights": weights}}))
        compare(CompareConfig([str(pair[0]), str(half)]), tmp_path / f"{weights is None}")
    assert "other weights" not in caplog.text
    record["model"]["weights"]["unet"] = "0" * 64
    (half / "run.json").write_text(json.dumps(record))
    out = compare(CompareConfig([str(pair[0]), str(half)]), tmp_path / "out")
    told = "bases with other weights, so that losses and images do not compare: greens; half."
    assert told in caplog.text
    assert told in (out / "comparison.html").read_text()


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"runs": ["/nowhere"]}, "runs: /nowhere: no such folder or file"),
    ({"runs": ["{empty}"]}, "neither a run folder .* nor that of a sweep"),
    ({"measure": True, "validation": ValidateConfig(prompts_file="/none.txt")}, "prompts_file=/none.txt: cannot be"),
    ({"names": ["a", "b"]}, "names has 2 names for 1 rows"),
    ({"sort": "palete_distance"}, "sort=palete_distance: no row has such a column"),
    ({"sort": "validation_los"}, "did you mean 'validation_loss'"),
    ({"output": "{empty}"}, "comparison.html exists: name another output=, or replace it with overwrite=true"),
    ({"output": "{empty}/comparison.html"}, "is a file; name a folder"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES, ids=lambda x: str(x)[:50])
def test_mistakes(pair: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "comparison.html").write_text("earlier")
    filled = {
        name: [v.format(empty=tmp_path) for v in value] if isinstance(value, list) else value
        for name, value in change.items()
    }
    filled = {n: v.format(empty=tmp_path) if isinstance(v, str) else v for n, v in filled.items()}
    with pytest.raises(ConfigError, match=message):
        compare(replace(CompareConfig([str(pair[0])]), **filled), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_validation_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(pair[0], tmp_path / "run"))
    (run / "validation").mkdir()
    (run / "validation" / "validation.json").write_text("[]")
    out = compare(CompareConfig([str(run)]), tmp_path / "out")
    assert "not a record of a validation" in table(out)["run"]["problem"]
    assert table(out)["run"]["validation_loss"]


@either_start
def test_the_command(pair: tuple[Path, Path], tmp_path: Path, ready: Ready) -> None:
    command = ["scripts/compare.py", f"hydra.run.dir={tmp_path / 'out'}"]
    done = run_python(*command, f"runs=[{pair[0]},{pair[1]}]", ready=ready)
    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "out")) == 2
    empty = run_python(*command, ready="door")
    assert (empty.returncode, "runs must have at least 1 entry" in empty.stderr) == (2, True)


def test_files_whose_names_differ_in_case_or_marks_alone_have_validations_of_their_own(tmp_path: Path) -> None:
    entries = [Entry(tmp_path / f"{name}.safetensors", "file", name) for name in ("a b", "A-B", "con", "art")]
    folders = validation_folders(entries, tmp_path)
    assert [folders[entry.name].name for entry in entries] == ["a-b", "a-b-2", "con_", "art"]
