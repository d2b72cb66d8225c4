"""Runs edited by hand: whatever stands in their files, each reader answers with one error and no traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spritelora.config.plain import flatten
from spritelora.errors import ResumeError, SpriteLoraError
from spritelora.runs.metrics import Event, read_events, read_sample_means
from spritelora.runs.record import RunRecord
from spritelora.runs.resume import replay_overrides
from spritelora.runs.sweep_record import read_job
from tests.records import a_record, plain_record, write_record

Edit = Callable[[dict[str, Any]], Any]
"""Changes a record in its place, or returns what stands in its stead."""


def put(path: str, value: Any) -> Edit:
    def edit(record: dict[str, Any]) -> None:
        *sections, name = path.split(".")
        for section in sections:
            record = record[section]
        record[name] = value

    return edit


def leave_out(path: str) -> Edit:
    def edit(record: dict[str, Any]) -> None:
        *sections, name = path.split(".")
        for section in sections:
            record = record[section]
        del record[name]

    return edit


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"deeper": value}
    return value


DAMAGED: dict[str, Edit] = {
    "a list": lambda _: [],
    "a number": lambda _: 3,
    "null": lambda _: None,
    "empty": lambda _: {},
    "a text": lambda _: "run",
    "cut off": lambda _: b'{"name": "defaults", "overr',
    "no bytes": lambda _: b"",
    "zeros": lambda _: bytes(500),
    "no UTF-8": lambda record: json.dumps(record).encode().replace(b"defaults", b"\xff\xfe"),
    "half a surrogate": put("name", "\ud800"),
    "deep": lambda _: b"[" * 100_000,
    "a deep setting": put("settings.schedule", nested(500)),
    "a number of 5000 digits": lambda _: b'{"overrides": [], "settings": ' + b"9" * 5000 + b"}",
    "no settings": leave_out("settings"),
    "settings as a list": put("settings", []),
    "a section as a text": put("settings.model", "sdxl"),
    "a section as null": put("settings.trainer", None),
    "no model": leave_out("model"),
    "a model as a text": put("model", "base"),
    "no data": leave_out("data"),
    "no hash": leave_out("data.hash"),
    "no name": leave_out("name"),
    "no id": leave_out("id"),
    "an id that is a path": put("id", "../../x"),
    "an id as a number": put("id", 7),
    "overrides as a text": put("overrides", "seed=3"),
    "overrides of numbers": put("overrides", [3]),
    "a rank as a text": put("settings.lora.rank", "8"),
    "a rank of 0": put("settings.lora.rank", 0),
    "no rank": leave_out("settings.lora.rank"),
    "true steps": put("settings.trainer.max_steps", True),
    "half a step": put("settings.trainer.max_steps", 2.5),
    "steps of 30 digits": put("settings.trainer.max_steps", 10**30),
    "a rate of nan": put("settings.optim.lr", float("nan")),
    "a rate of infinity": put("settings.optim.lr", float("inf")),
    "an odd resolution": put("settings.model.resolution", 100),
    "prompts as a text": put("settings.sampler.prompts", "a"),
    "a prompt as null": put("settings.sampler.prompts", [None]),
    "an unknown kind": put("settings.adapter.kind", "lycoris"),
    "a kind as a list": put("settings.adapter.kind", []),
    "a weighting without target": put("settings.weighting", {}),
    "a weighting as a text": put("settings.weighting", "min_snr"),
    "sets as a list": put("settings.data.sets", []),
    "a set without path": put("settings.data.sets", {"mine": {}}),
    "weights as a list": put("model.weights", [1]),
    "views as a list": put("data.views", ["sprites"]),
    "a factor as a text": put("data.factor", "8"),
    "versions as a list": put("versions", []),
    "earlier as numbers": put("earlier", {"over": 3}),
    "threads as a text": put("threads", "two"),
}


def content_of(kind: str) -> bytes:
    record = plain_record()
    found = DAMAGED[kind](record)
    if isinstance(found, bytes):
        return found
    return json.dumps(record if found is None and kind != "null" else found).encode()


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_record_edited_by_hand_is_one_error_that_names_it(kind: str, tmp_path: Path) -> None:
    run = write_record(tmp_path / "run")
    (run / "run.json").write_bytes(content_of(kind))
    with pytest.raises(ResumeError, match=r"run\.json: not a run record .*; resume from one of the run's checkpoints"):
        RunRecord.read(run)
    checkpoint = write_record(tmp_path / "checkpoint" / "training_state").parent
    (checkpoint / "training_state" / "run.json").write_bytes(content_of(kind))
    with pytest.raises(ResumeError, match="resume from another copy of it"):
        RunRecord.read(checkpoint)


@pytest.mark.parametrize("kind", DAMAGED)
def test_every_reader_of_a_damaged_run_answers_in_one_line(kind: str, tmp_path: Path) -> None:
    from spritelora.drawing.source import find_source
    from spritelora.sweeps.rows import Entry, read_row

    run = write_record(tmp_path / "run")
    (run / "run.json").write_bytes(content_of(kind))
    assert "record is damaged" in str(read_row(Entry(run, "run", "mine"), None).cells["problem"])
    for reader in (
        lambda: replay_overrides([f"resume={run}"], False),
        lambda: find_source(str(run), []),
    ):
        with pytest.raises(SpriteLoraError) as error:
            reader()
        assert "\n" not in str(error.value)
        assert str(error.value).isprintable()


def test_a_whole_record_is_read_as_it_was_written() -> None:
    record = a_record(
        "seed=3", settings={"data": {"sets": {"mine": {"path": "art", "repeats": 2}}}}, data={"factor": 8}
    )
    again = json.loads(json.dumps(record.as_plain))
    assert again == plain_record(
        "seed=3",
        settings={"data": {"sets": {"mine": {"path": "art", "repeats": 2, "weight": 1.0}}}},
        data={"factor": 8},
    )
    assert record.settings.data.sets["mine"].repeats == 2


def test_what_older_runs_lack_is_filled_in_and_what_newer_ones_have_is_kept(tmp_path: Path) -> None:
    """Before formats of the base, losses, draws of timesteps, fingerprints, groups and sets."""
    record = plain_record()
    for path in (
        "loss",
        "timesteps",
        "adapter",
        "sweep",
        "data.split",
        "data.sets",
        "hardware.base",
        "trainer.patience",
    ):
        leave_out(f"settings.{path}")(record)
    for path in ("model.weights", "earlier", "versions", "threads", "hardware.base", "hardware.chosen"):
        leave_out(path)(record)
    record["settings"]["lora"]["of_a_newer_version"] = 3
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps(record))
    read = RunRecord.read(run)
    assert read.settings.loss["_target_"].endswith("MeanSquared")
    assert read.settings.timesteps["_target_"].endswith("timesteps.Uniform")
    assert (read.settings.data.split.value, read.settings.hardware.base.value) == ("sprite", "full")
    assert (read.settings.data.sets, read.settings.trainer.patience, read.model.weights) == ({}, 0, None)
    assert read.unknown == {"lora.of_a_newer_version": 3}
    assert read.flat.keys() == {*dict(flatten(read.as_plain["settings"])), "lora.of_a_newer_version"}


BAD_LINES = {
    "null": b'{"step": 1, "loss": null}',
    "a text": b'{"step": 1, "loss": "low"}',
    "true": b'{"step": 1, "loss": true}',
    "a list": b"[1, 0.5]",
    "a number": b"3",
    "no step": b'{"loss": 0.5}',
    "a step as a text": b'{"step": "1"}',
    "half a step": b'{"step": 1.5}',
    "a step below 0": b'{"step": -1}',
    "a step of 30 digits": b'{"step": ' + b"1" * 30 + b"}",
    "a loss of 400 digits": b'{"step": 1, "loss": ' + b"1" * 400 + b"}",
    "no UTF-8": b'{"step": 1, "\xff": 2}',
    "cut off": b'{"step": 1, "lo',
    "deep": b"[" * 100_000,
    "zeros": bytes(64),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_damaged_line_of_metrics_is_named_and_half_a_one_at_the_end_is_left_out(kind: str, tmp_path: Path) -> None:
    from spritelora.sweeps.rows import Entry, read_row
    from spritelora.training.logs.run_log import RunLog

    run = write_record(tmp_path / "run")
    good = b'{"step": 1, "loss": 0.5}\n'
    (run / "metrics.jsonl").write_bytes(good + BAD_LINES[kind] + b"\n" + good)
    for reader in (lambda: read_events(run / "metrics.jsonl"), lambda: RunLog(run, None, 5)):
        with pytest.raises(ResumeError, match=r"metrics\.jsonl: line 2 is damaged .*; correct or remove it"):
            reader()
    assert "line 2 is damaged" in str(read_row(Entry(run, "run", "mine"), None).cells["problem"])
    (run / "metrics.jsonl").write_bytes(good + BAD_LINES[kind])
    assert read_events(run / "metrics.jsonl") == [Event(1, {"loss": 0.5})]


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b"\xff", b'{"samples": 3}', b'{"samples": {"halo": null}}', b"[" * 9999]
)
def test_a_damaged_summary_has_no_means(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "training_metrics.json").write_bytes(content)
    assert read_sample_means(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 9999,
        b'{"number": "1", "overrides": [], "status": "failed", "started": "x"}',
        b'{"number": 1, "overrides": "x", "status": "failed", "started": "x"}',
        b'{"number": 1, "overrides": [], "status": ["failed"], "started": "x"}',
        b'{"number": 1, "overrides": [], "status": "failed", "started": "x", "elapsed_s": "long"}',
    ],
)
def test_a_damaged_record_of_a_job_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(content)
    assert read_job(tmp_path) is None


STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda _: [],
    "no optimizer": lambda state: [p for p in state["dict"] if p[0] != "optimizer_states"],
    "a step as a text": lambda state: [p if p[0] != "global_step" else [p[0], "2"] for p in state["dict"]],
    "loops as a number": lambda state: [p if p[0] != "loops" else [p[0], 3] for p in state["dict"]],
    "callbacks as a list": lambda state: [p if p[0] != "callbacks" else [p[0], {"list": [1]}] for p in state["dict"]],
}


@pytest.mark.parametrize("kind", STATES)
def test_a_training_state_edited_by_hand_is_one_error(kind: str, trained_once, train_quickly) -> None:
    overrides = ("trainer.max_steps=2", "lora.rank=2")
    run = trained_once(*overrides)
    file = run / "checkpoint_final" / "training_state" / "state.json"
    edited = STATES[kind](json.loads(file.read_text()))
    file.write_text(json.dumps({"dict": edited} if edited else edited))
    with pytest.raises(SpriteLoraError, match=r"checkpoint_\w+: .*; resume from an"):
        train_quickly(*overrides[1:], "trainer.max_steps=3", f"resume={run}")


def test_a_link_in_a_run_that_goes_on_is_refused(tmp_path: Path) -> None:
    from tests.documents import run_in

    run = write_record(tmp_path / "run", "seed=3")
    (tmp_path / "mine.txt").write_text("mine")
    (run / "metrics.jsonl").symlink_to(tmp_path / "mine.txt")
    outcome = run_in(tmp_path, ["python", "train.py", "resume=run"])
    assert "'metrics.jsonl' is a link" in outcome.printed
    assert (outcome.status, (tmp_path / "mine.txt").read_text()) == (2, "mine")
    assert {p.name for p in run.iterdir()} <= {"run.json", "metrics.jsonl", ".lock"}
    shutil.rmtree(run)


def test_a_factor_is_of_the_runs_own_size_and_the_matte_of_any() -> None:
    record = a_record(data={"factor": 4, "matte": "#102030"}, settings={"model": {"resolution": 128}})
    told = [(data.factor, data.matte) for data in (record.data_at(128), record.data_at(256))]
    assert told == [(4, "#102030"), (None, "#102030")]
