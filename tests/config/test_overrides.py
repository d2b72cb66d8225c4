"""Overrides as typed: their parts, the last of a key, and texts that come back as they went in."""

import copy
import json
import pickle
from pathlib import Path

import pytest

from spritelora.config.overrides import Override, Overrides
from spritelora.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "sign", "key", "value", "text"),
    [
        ("lora.rank=8", "", "lora.rank", "8", "8"),
        ("+optim.args.x=1", "+", "optim.args.x", "1", "1"),
        ("++data.sets={a: {}}", "++", "data.sets", "{a: {}}", "{a: {}}"),
        ("~logger", "~", "logger", None, ""),
        ("word", "", "word", None, ""),
        ("data.path=", "", "data.path", "", ""),
        ("sampler.prompts=a=b", "", "sampler.prompts", "a=b", "a=b"),
        ("output='my = folder'", "", "output", "'my = folder'", "my = folder"),
        ("hydra/launcher=joblib", "", "hydra/launcher", "joblib", "joblib"),
    ],
)
def test_the_parts_of_an_override(typed: str, sign: str, key: str, value: str | None, text: str) -> None:
    override = Override(typed)
    assert (override.sign, override.key, override.value, override.text) == (sign, key, value, text)
    assert override == typed
    assert override.is_hydras == (key == "hydra/launcher")
    assert (override.sign + override.key) + ("" if value is None else f"={value}") == typed


def test_of_one_key_the_last_counts() -> None:
    overrides = Overrides(["seed=1", "lora=rank8", "+seed=2"])
    assert overrides.text("seed") == "2"
    assert overrides.text("output") is None
    assert list(overrides.by_key.values()) == ["+seed=2", "lora=rank8"], "in the order in which keys came first"
    assert overrides.without("seed", "output") == ["lora=rank8"]
    assert overrides == ["seed=1", "lora=rank8", "+seed=2"], "left as they were"


def test_a_path_is_read_before_hydra_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    overrides = Overrides(["output='~/a b'", "resume=null", "data.path=", "data.cache=~nobody-has-this-name/x"])
    assert overrides.path("output") == tmp_path / "a b"
    assert [overrides.path(key) for key in ("resume", "data.path", "model.path")] == [None, None, None]
    with pytest.raises(ConfigError, match=r"data.cache=.*there is no user 'nobody-has-this-name'.*type the whole path"):
        overrides.path("data.cache")


@pytest.mark.parametrize("text", ["plain", "it's", "a, b", "${x}", "\\", "=", "", "[a]"])
def test_a_text_comes_back_as_it_was_set(text: str) -> None:
    overrides = Overrides(["output=before", "seed=1"]).with_text("output", text)
    assert overrides.text("output") == text
    assert (len(overrides), overrides[0]) == (2, "seed=1")


def test_what_is_removed_has_no_value_to_quote() -> None:
    assert Overrides(["~data.path=a, b"]).quoted({"data.path": False}) == ["~data.path=a, b"]


def test_records_and_other_processes_take_them_as_texts() -> None:
    overrides = Overrides(["lora=rank8", "seed=1"])
    assert json.loads(json.dumps(overrides)) == overrides
    for again in (pickle.loads(pickle.dumps(overrides)), copy.deepcopy(overrides)):
        assert (again, again.text("seed")) == (overrides, "1")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("input=my art", "input=my art"),
        ("input=null", "input='null'"),
        ("prefix=pixel art, ", "prefix='pixel art, '"),
        ("input=it's", r"input='it\'s'"),
        ("input='a'", "input=a"),
        ('input="a"', 'input="a"'),
        ("prompts=[a gem,a key]", "prompts=[a gem,a key]"),
        ("prompts=a gem", "prompts=[a gem]"),
        ("prompts=['a, b',c]", "prompts=['a, b','c']"),
        ("prompts=['a [',c]", "prompts=['a [','c']"),
        ("steps=3", "steps=3"),
        ("lora=rank8,rank16", "lora=rank8,rank16"),
        ("+x=1", "+x=1"),
    ],
)
def test_what_is_shown_has_quotes_only_where_they_are_needed_and_means_the_same(typed: str, shown: str) -> None:
    keys = {"input": False, "prefix": False, "prompts": True}
    quoted = Override(typed).quoted(keys) if typed != "input=null" else Override("input='null'")
    assert quoted.plain == shown
    assert Override(shown).quoted(keys).plain == shown
