"""Every key of every command: an empty value is named, a path gets its home folder, a section is no value.

The keys come from the dataclasses, so that a new one takes part by itself.
"""

import copy
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from spritelora.config import fields
from spritelora.config.command_line import list_groups
from spritelora.config.fields import ENTRY, walk_schema
from spritelora.config.places import expand_home
from spritelora.config.strict import load
from spritelora.config.train.schema import TrainConfig
from spritelora.config.values import check_swept, check_typed
from spritelora.door.cli import explain
from spritelora.errors import ConfigError
from tests.composing import DOORS, Door

OF_TRAIN = next(door for door in DOORS if door.script == "train")


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a command, as a user names it."""

    door: Door
    path: str
    field: "dataclasses.Field[Any]"
    kind: Any

    @property
    def is_list(self) -> bool:
        return str(self.kind).startswith("list")

    @property
    def is_text(self) -> bool:
        """Whether it holds texts, free or not."""
        return self.kind in (str, str | None, list[str])

    def given(self, value: str) -> Any:
        """The checked settings with this value, as a file of the user's would give it."""
        raw = copy.deepcopy(composed(self.door.script))
        OmegaConf.update(raw, self.path, [value] if self.is_list else value)
        return OmegaConf.select(OmegaConf.structured(load(raw, self.door.schema)), self.path)


@functools.cache
def composed(script: str) -> DictConfig:
    """A command's configuration, with something for what has no default, and a set of that name."""
    door = next(d for d in DOORS if d.script == script)
    raw = door.compose(*(["data.sets.NAME.path=x"] if door is OF_TRAIN else []))
    missing = OmegaConf.missing_keys(raw)
    for path, field, kind in walk_schema(door.schema):
        too_short = field.metadata.get("limits", {}).get("at_least") and OmegaConf.select(raw, path) == []
        if path in missing or too_short:
            value = ["x"] if str(kind) == "list[str]" else "x" if kind is str else next(iter(kind))
            OmegaConf.update(raw, path, value)
    return raw


def keys() -> Iterator[Key]:
    for door in DOORS:
        if door.script != "doctor":
            for path, field, kind in walk_schema(door.schema):
                if not dataclasses.is_dataclass(kind) and not str(kind).startswith("dict"):
                    yield Key(door, path, field, kind)


def named(key: Key) -> str:
    return f"{key.door.script}-{key.path}"


KEYS = list(keys())
MEANINGFUL = [k for k in KEYS if k.field.metadata["may_be_empty"]]
MISTAKEN = [k for k in KEYS if not k.field.metadata["may_be_empty"]]
SCRIPTS = sorted({k.door.script for k in KEYS})
PLACES = [k for k in KEYS if k.field.metadata["is_place"]]


def of(script: str, keys: list[Key]) -> list[Key]:
    return [k for k in keys if k.door.script == script]


def refusal(call: Callable[[], object]) -> str:
    """What is said of a mistake; nothing where there is none."""
    try:
        call()
    except ConfigError as error:
        return str(error)
    return ""


def test_the_keys_are_those_that_the_commands_have() -> None:
    """What the tests below go through is not a part of it: counted by hand once, and only ever more."""
    found = {named(k) for k in KEYS}
    assert len(found) > 230
    assert {"train-data.path", "train-data.sets.NAME.path", "prepare-input", "compare-validation.model.vae"} <= found
    assert {named(k) for k in MEANINGFUL} >= {
        "train-sampler.negative_prompt", "generate-sampler.negative_prompt", "validate-sampler.negative_prompt",
        "prepare-prefix", "prepare-suffix", "prepare-trigger", "caption-trigger", "caption-prompt", "export-trigger",
    }  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_empty_value_that_is_typed_is_named(script: str) -> None:
    for key in of(script, MISTAKEN):
        for value in ("", " ", "''", '" "'):
            told = refusal(lambda key=key, value=value: check_typed([f"{key.path}={value}"], key.door.schema))
            assert told.startswith(f"{key.path} is empty, as when a shell variable is unset: give"), key


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_empty_text_in_a_file_is_named(script: str) -> None:
    for key in (k for k in of(script, MISTAKEN) if k.is_text):
        for value in ("", " \t"):
            told = refusal(lambda key=key, value=value: key.given(value))
            assert told.startswith(f"{'entry 1 of ' if key.is_list else ''}{key.path} is empty"), key


@pytest.mark.parametrize("key", MEANINGFUL, ids=named)
def test_a_text_whose_empty_value_has_a_meaning_may_be_empty_and_says_so(key: Key) -> None:
    check_typed([f"{key.path}="], key.door.schema)
    assert key.given("") == ""
    assert "; empty: " in key.field.metadata["help"]
    if key.field.metadata["may_be_blank"]:
        assert key.given("  ") == "  "
        return
    assert refusal(lambda: key.given("  ")).startswith(f"{key.path} holds nothing but spaces: type {key.path}= where")


def test_the_remedy_is_what_the_key_takes() -> None:
    def said(override: str) -> str:
        with pytest.raises(ConfigError) as refused:
            check_typed([override], TrainConfig)
        return str(refused.value)

    assert said("data.path=").endswith("give it a value, or data.path=null to unset it")
    assert said("text_encoders.modules=").endswith("or text_encoders.modules=[] for none")
    assert said("data.cache=").endswith("or leave it out for its default")
    assert said("hydra.run.dir=").endswith("or leave it out")
    assert said("hydra=x").endswith("type one of its keys, such as hydra.run.dir=FOLDER")


def test_all_empty_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        check_typed(["data.path=", "lora.rank=8", "++model.path=''", "data.sets.mine.path=", "nothing="], TrainConfig)
    keys = [line.split()[0] for line in str(refused.value).splitlines()]
    assert keys == ["data.path", "model.path", "data.sets.mine.path"]


@pytest.mark.parametrize(
    "override",
    ["seed=,1", "seed=1,,2", "seed=1,", "optim.lr=choice(1e-3,)", "targets.modules=[to_q,]", "targets.modules=[,to_q]"],
)
def test_an_empty_value_among_several_is_named(override: str) -> None:
    path, _, value = override.partition("=")
    with pytest.raises(ConfigError, match=re.escape(f"{path}: one of the values in '{value}' is empty")):
        check_typed([override], TrainConfig)
    with pytest.raises(ConfigError, match=re.escape(f"hydra.sweeper.params.{path}: one of the values in '{value}'")):
        check_swept(["lora=rank8,rank16", override])


@pytest.mark.parametrize(
    "override",
    ["seed=1,2", "targets.modules=[to_q,to_k]", "sampler.prompts=[a,b]", "data.path=a,,b", "hydra/launcher=joblib"],
)
def test_values_that_are_there_are_no_mistake(override: str) -> None:
    check_typed([override], TrainConfig)


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("sampler.prompts=[a,]", "entry 2 of sampler.prompts"),
        ("sampler.prompts=['',a]", "entry 1 of sampler.prompts"),
        ("logger.project=", "logger.project"),
        ("schedule.warmup_steps=", "schedule.warmup_steps"),
        ("optim.args={x: ''}", "optim.args.x"),
        ("data.sets={mine: {path: ''}}", "data.sets.mine.path"),
    ],
)
def test_an_empty_value_within_another_is_named(typed: str, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(named)} is empty, as when a shell variable is unset"):
        load(OF_TRAIN.compose(typed), TrainConfig)


def test_a_list_that_would_take_minutes_to_part_is_refused_before_that() -> None:
    fits = ",".join(["x"] * 1000)
    check_typed([f"sampler.prompts=[{fits}]", f"sampler.negative_prompt={fits},{fits}"], TrainConfig)
    with pytest.raises(ConfigError, match=r"^sampler\.prompts has 1,001 entries, over the limit of 1,000"):
        check_typed([f"sampler.prompts=[{fits},x,x]"], TrainConfig)


def test_an_empty_name_in_a_file_is_named() -> None:
    config = OmegaConf.structured(load(OF_TRAIN.compose(), TrainConfig))
    config.lora.rank_pattern[""] = 4
    assert refusal(lambda: load(config, TrainConfig)).startswith("a name in lora.rank_pattern is empty")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_path_gets_its_home_folder(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mine")
    homes = {"~/art/x": "/home/mine/art/x", "~": "/home/mine"}
    others = ("./~", "./~/x", "art/~/x", "a~", "/abs")
    for key in of(script, PLACES):
        for typed, expected in {**homes, **{place: place for place in others}}.items():
            assert key.given(typed) == ([expected] if key.is_list else expected), key
        told = refusal(lambda key=key: key.given("~no-such-user-here/x"))
        assert told.startswith(f"{key.path}=~no-such-user-here/x: there is no user 'no-such-user-here'"), key
        assert "./~no-such-user-here/x" in told


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_text_that_is_no_path_keeps_its_tilde(script: str) -> None:
    for key in (k for k in of(script, KEYS) if k.field.metadata["text"] and not k.field.metadata["is_place"]):
        assert key.given("~/x") == (["~/x"] if key.is_list else "~/x"), key


def test_a_home_folder_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ConfigError, match=r"^~/x: the variable HOME is empty; set it"):
        expand_home("~/x")
    assert expand_home("x") == "x"
    assert fields.key("~/x", is_place=True).default == "~/x"  # for the loader to name


SECTIONS = [
    (door, path, kind)
    for door in DOORS
    if door.script != "doctor"
    for path, _, kind in walk_schema(door.schema)
    if (dataclasses.is_dataclass(kind) or str(kind).startswith("dict")) and ENTRY not in path
    if path not in list_groups(door.config_dir)
]


@pytest.mark.parametrize(("door", "path", "kind"), SECTIONS, ids=lambda x: getattr(x, "script", str(x)))
def test_a_section_that_is_typed_as_a_value_says_what_it_holds(door: Door, path: str, kind: Any) -> None:
    with pytest.raises(HydraException) as refused:
        door.compose(f"{path}=tiny")
    told = explain(refused.value, door.schema)
    assert told.startswith(f"'{path}' is a section, not one value, got 'tiny': ")
    if dataclasses.is_dataclass(kind):
        assert all(f"{path}.{field.name}" in told for field in dataclasses.fields(kind))
    else:
        assert ("its keys are data.sets.NAME.path" if path == "data.sets" else f"type {path}={{NAME: ") in told


def told_of(folder: Path, content: str) -> str:
    """What is said of an experiment with this content."""
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{content}\n")
    with pytest.raises((ConfigError, HydraException)) as refused:
        load(OF_TRAIN.compose("experiment=mine", more_dirs=[folder]), TrainConfig)
    return explain(refused.value, TrainConfig, list_groups(OF_TRAIN.config_dir))


@pytest.mark.parametrize(
    ("content", "got"),
    [("lora: rank16", "rank16"), ("schedule: cosine", "cosine"), ("schedule:", "null"), ("lora: [rank8]", "['rank8']")],
)
def test_an_option_that_a_file_gives_as_a_value_says_where_it_stands(content: str, got: str, tmp_path: Path) -> None:
    group, told = content.partition(":")[0], told_of(tmp_path, content)
    assert re.match(rf"'{group}'( in conf/experiment/mine\.yaml)? is a section, not one value, got ", told)
    assert f"got '{got}'" in told
    assert told.endswith(f"in a file an option of it stands under defaults: override /{group}: OPTION")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("objective: 5", "'objective' in conf/experiment/mine.yaml is a section, not one value, got '5': its keys are"),
        ("data: {augment: true}", "'data.augment' in conf/experiment/mine.yaml is a section"),
        ("data: {sets: {mine: art}}", "'data.sets.mine' in conf/experiment/mine.yaml is a section"),
        ('optim: {lr: ""}', "optim.lr in conf/experiment/mine.yaml is empty"),
        ('hardware: {precision: ""}', "hardware.precision in conf/experiment/mine.yaml is empty"),
        ('data: {path: ""}', "data.path is empty"),
        ("lora: {rank: null}", "lora.rank in conf/experiment/mine.yaml cannot be null"),
    ],
)
def test_mistakes_in_a_file_are_named_as_those_that_are_typed(content: str, told: str, tmp_path: Path) -> None:
    assert told_of(tmp_path, content).startswith(told)


def test_null_for_what_cannot_be_unset_says_so() -> None:
    with pytest.raises(HydraException) as refused:
        OF_TRAIN.compose("optim.lr=null")
    assert explain(refused.value, TrainConfig).startswith("optim.lr cannot be null: give it a value, or leave it out")


def test_what_the_grammar_cannot_read_is_to_be_quoted() -> None:
    with pytest.raises(HydraException) as refused:
        OF_TRAIN.compose("data.sets={mine: {path: à l'épée}}")
    assert "into quotes" in explain(refused.value, TrainConfig)
    config = load(OF_TRAIN.compose('data.sets={mine: {path: "à l\'épée"}}'), TrainConfig)
    assert config.data.sets["mine"].path == "à l'épée"
