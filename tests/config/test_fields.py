"""Facts of a key stand on its field alone: a key that is planted takes part in all that is derived from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from spritelora.commands.train.frozen import Frozen, results_of_base
from spritelora.commands.train.record import changed_settings, check_resumable, public_settings
from spritelora.config import fields
from spritelora.config.command_line import CommandLine
from spritelora.config.fields import Affects, OnResume, free_keys, is_free, is_place, is_told, key, walk_schema
from spritelora.config.invocation import Invocation
from spritelora.config.overrides import Overrides
from spritelora.config.train.schema import TrainConfig
from spritelora.data.training_set import TrainingSet
from spritelora.door.sweep_resume import continue_sweep
from spritelora.errors import ConfigError, ResumeError
from spritelora.runs.record import RunRecord
from spritelora.runs.sweep_record import SweepRecord, write_sweep
from tests.records import a_record

Plant = Callable[..., None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """Declares the key `planted` of `train`, with the facts that are given."""

    def add(**facts: Any) -> None:
        @dataclass
        class Garden:
            planted: str = key("a", "a new key", **facts)

        monkeypatch.setitem(TrainConfig.__dataclass_fields__, "planted", Garden.__dataclass_fields__["planted"])
        monkeypatch.setitem(TrainConfig.__annotations__, "planted", str)
        monkeypatch.setattr(TrainConfig, "planted", "a", raising=False)
        fields._declared.cache_clear()

    a_record()  # composed once, by the schema as it is
    yield add
    fields._declared.cache_clear()


def record_with(planted: str) -> RunRecord:
    record = a_record()
    record.settings.planted = planted  # pyright: ignore[reportAttributeAccessIssue]
    return record


def refused_on_resume() -> str:
    with pytest.raises(ResumeError) as error:
        check_resumable(Path("run"), record_with("a"), record_with("b"))
    return str(error.value)


def test_what_may_change_when_a_run_goes_on(plant: Plant) -> None:
    plant(on_resume=OnResume.run)
    check_resumable(Path("run"), record_with("a"), record_with("b"))
    assert "planted" in free_keys(TrainConfig, OnResume.run)
    plant()
    assert "planted: a -> b" in refused_on_resume()


def test_what_may_change_is_told_with_a_refusal(plant: Plant) -> None:
    plant(on_resume=OnResume.run)
    changed = record_with("b")
    changed.settings.lora.rank = 3
    with pytest.raises(ResumeError, match=r"lora.rank: .* -> 3\n.*what may change is .*, planted"):
        check_resumable(Path("run"), record_with("a"), changed)


def test_what_may_change_when_a_sweep_goes_on(plant: Plant, tmp_path: Path) -> None:
    write_sweep(tmp_path, SweepRecord([], ["lora=rank8,rank16", "planted=a"], None, "validation_loss", ""))
    typed = CommandLine([], Overrides([f"resume={tmp_path}", "planted=b"]))
    plant(on_resume=OnResume.sweep)
    assert "planted=b" in continue_sweep(typed).overrides
    with pytest.raises(ConfigError, match=r"so seed=1 cannot change; beside it only .*, planted, hydra/launcher"):
        continue_sweep(CommandLine([], Overrides([f"resume={tmp_path}", "seed=1"])))
    for facts in ({}, {"on_resume": OnResume.run}):
        plant(**facts)
        with pytest.raises(ConfigError, match="planted=b cannot change"):
            continue_sweep(typed)


def test_what_is_a_folder(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "art").mkdir()
    typed, whole = {"planted": "~/art"}, {"planted": str(tmp_path / "art")}
    settings = a_record().flat
    for is_one in (True, False):
        plant(is_place=is_one)
        assert changed_settings({**settings, **typed}, {**settings, **whole}) == (
            [] if is_one else [f"planted: ~/art -> {tmp_path / 'art'}"]
        )
        assert public_settings(record_with(whole["planted"]))["planted"] == ("art" if is_one else whole["planted"])


def test_what_is_told(plant: Plant) -> None:
    job = Invocation(Path("run"), ("planted=b", "seed=1"))
    plant()
    assert (job.name, public_settings(record_with("b"))["planted"]) == ("b seed=1", "b")
    plant(is_told=False)
    assert (job.name, "planted" in public_settings(record_with("b"))) == ("seed=1", False)


@pytest.mark.parametrize(
    ("affects", "anew"),
    [
        (None, []),
        (Affects.encodings, ["losses", "samples"]),
        (Affects.predictions, ["losses", "samples"]),
        (Affects.losses, ["losses"]),
        (Affects.samples, ["samples"]),
    ],
)
def test_what_changes_a_result_of_the_base(plant: Plant, affects: Affects | None, anew: list[str]) -> None:
    plant(affects=affects)
    sprites = TrainingSet([], [], (0, 0, 0), [])
    frozen, made = Frozen(), count()

    def results(planted: str) -> tuple[Any, ...]:
        keep_losses, keep_samples = results_of_base(frozen, record_with(planted).settings, sprites, {})
        return keep_losses(lambda: {"loss": next(made)}), keep_samples(lambda: [str(next(made))])  # pyright: ignore

    first, same, other = results("a"), results("a"), results("b")
    assert first == same
    assert [name for name, a, b in zip(("losses", "samples"), first, other, strict=True) if a != b] == anew, (
        "made once again where the key changes them, and kept where it does not"
    )


def test_a_section_speaks_for_its_keys_and_a_mapping_for_its_entries() -> None:
    assert is_free(TrainConfig, "sampler.steps", OnResume.run)
    assert is_free(TrainConfig, "logger.project", OnResume.sweep)
    assert is_place(TrainConfig, "data.sets.mine.path")
    assert not is_told(TrainConfig, "sweep.objective")
    assert is_free(TrainConfig, "sweep.stop_on_failure", OnResume.sweep), "the key's own word counts"
    assert not is_free(TrainConfig, "sweep.objective", OnResume.sweep)
    assert not is_free(TrainConfig, "no.such.key", OnResume.run)
    assert "sampler" in free_keys(TrainConfig, OnResume.run)
    assert "sampler.steps" not in free_keys(TrainConfig, OnResume.run), "its section is named in its place"


def test_what_a_sweep_may_change_a_run_may_change_too() -> None:
    paths = [path for path, _, _ in walk_schema(TrainConfig)]
    assert [p for p in paths if is_free(TrainConfig, p, OnResume.sweep)]
    assert not [p for p in paths if is_free(TrainConfig, p, OnResume.sweep) > is_free(TrainConfig, p, OnResume.run)]
