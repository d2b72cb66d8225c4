"""Keys of several data sets: typed one by one, all at once, or in a file of the user's; as strict as any other."""

import re
from pathlib import Path

import pytest
from hydra.errors import HydraException

from spritelora.config.command_line import begin_entries
from spritelora.config.fields import declared_path, entry_keys, text_keys
from spritelora.config.invocation import Invocation
from spritelora.config.overrides import Overrides
from spritelora.config.strict import load
from spritelora.config.train.data_keys import SetConfig
from spritelora.config.train.schema import TrainConfig
from spritelora.door.cli import explain
from spritelora.door.compose import compose_config
from spritelora.errors import ConfigError
from tests.composing import compose
from tests.conftest import ROOT

TWO = {"mine": SetConfig("art/mine", repeats=3), "theirs": SetConfig("art/theirs, all", weight=0.5)}


def test_sets_are_typed_key_by_key() -> None:
    config = compose(
        "data.sets.mine.path=art/mine",
        "data.sets.mine.repeats=3",
        "data.sets.theirs.path=art/theirs, all",
        "data.sets.theirs.weight=0.5",
    )
    assert config.data.sets == TWO


def test_sets_are_given_at_once_and_changed_one_by_one() -> None:
    whole = "data.sets={mine: {path: art/mine, repeats: 3}, theirs: {path: 'art/theirs, all', weight: 0.5}}"
    assert compose(whole).data.sets == TWO
    assert compose(whole, "data.sets.mine.repeats=9").data.sets["mine"] == SetConfig("art/mine", repeats=9)


def test_sets_are_an_option_of_the_users_own(tmp_path: Path) -> None:
    compose()  # which makes the schema known
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "two.yaml").write_text(
        "sets:\n  mine: {path: art/mine, repeats: 3}\n  theirs: {path: 'art/theirs, all', weight: 0.5}\n"
    )
    config = load(compose_config(ROOT / "conf", "train", ["data=two"], [tmp_path]), TrainConfig)
    assert config.data.sets == TWO


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["data.sets.a.wieght=2", "data.sets.a.path=x"],
            r"unknown key 'data\.sets\.a\.wieght': did you mean 'data\.sets\.a\.weight'",
        ),
        (
            ["data.sets={a: {path: x, repeets: 2}}"],
            r"unknown key 'data\.sets\.a\.repeets': did you mean 'data\.sets\.a\.repeats'",
        ),
        (["data.sets.a.repeats=2"], r"'data\.sets\.a\.path' has no value: add data\.sets\.a\.path="),
        (["data.sets.a.path=x", "data.sets.a.repeats=0"], r"data\.sets\.a\.repeats must be at least 1, got 0"),
        (["data.sets.a.path=x", "data.sets.a.weight=0"], r"data\.sets\.a\.weight must be above 0, got 0"),
        (["data.sets.a=x"], r"'data\.sets\.a=x': type its keys one by one, data\.sets\.a\.path=FOLDER"),
        (["data.regularisation.every=0"], r"data\.regularisation\.every must be at least 1, got 0"),
    ],
)
def test_mistakes_in_a_set_are_named(typed: list[str], message: str) -> None:
    with pytest.raises((ConfigError, HydraException)) as refused:
        compose(*typed)
    assert re.match(message, explain(refused.value, TrainConfig))


def test_paths_of_sets_are_taken_literally() -> None:
    keys = text_keys(TrainConfig)
    assert Overrides(["++data.sets.a.path=x, y"]).quoted(keys) == ["++data.sets.a.path='x, y'"]
    assert Overrides(["data.sets.a.weight=1,2"]).quoted(keys) == ["data.sets.a.weight=1,2"]
    assert declared_path("data.sets.a.b.path", keys) == "data.sets.a.b.path"


def test_entries_are_begun_once_and_begin_again_on_resume() -> None:
    keys = entry_keys(TrainConfig)
    typed = ["data.sets.a.path=x", "seed=1", "++data.sets.b-2.path=y", "data.sets.a.weight=2"]
    begun = begin_entries(typed, keys)
    assert begun == ["++data.sets={a: {}, b-2: {}}", *typed]
    assert begin_entries(begun, keys) == begun
    assert begin_entries(["seed=1"], keys) == ["seed=1"]
    for spelt in (begun[0], begun[0].replace(" ", "")):  # the second is how Hydra tells it to the task
        assert Invocation(Path("run"), (spelt, *typed)).name == Invocation(Path("run"), tuple(typed)).name
