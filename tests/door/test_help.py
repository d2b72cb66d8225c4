"""The help: of many keys those that people set, in the order of need; of every command all on request."""

import functools
import re

import pytest

from spritelora.config.command_line import split
from spritelora.config.fields import walk_schema
from spritelora.door.command_table import COMMANDS
from spritelora.door.help import SHORT, WIDTH, render_help
from tests.composing import DOORS

DOOR_OF = {door.script: door for door in DOORS}
GROUPS = {"lora": ["rank8", "rank16"]}


@functools.cache
def help_of(name: str, shows_all: bool) -> list[str]:
    door = DOOR_OF[name]
    config = door.compose(with_hydra=True)
    return render_help(COMMANDS[name].purpose, door.schema, GROUPS, config, shows_all).splitlines()


def keys_of(lines: list[str]) -> list[str]:
    """The keys that a help shows, in its order."""
    return [m[1] for line in lines if (m := re.match(r"  ([a-z_][\w.]*)=", line))]


@pytest.mark.parametrize("name", COMMANDS)
def test_all_keys_are_shown_on_request(name: str) -> None:
    shown = set(keys_of(help_of(name, True)))
    for path, _, kind in walk_schema(DOOR_OF[name].schema):
        if not hasattr(kind, "__dataclass_fields__"):
            assert path.removesuffix("._target_") in shown, path


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("shows_all", [False, True])
def test_values_are_plain(name: str, shows_all: bool) -> None:
    text = "\n".join(help_of(name, shows_all))
    for unplain in ("???", "spritelora.", "torch.optim", "=None", "=True", "=False"):
        assert unplain not in text.replace("spritelora.data", ""), unplain


@pytest.mark.parametrize("name", ["train", "doctor"])
def test_of_many_keys_the_thirty_that_people_set_come_first_a_line_each(name: str) -> None:
    lines = help_of(name, False)
    keys = keys_of(lines)
    assert len(keys) == SHORT
    assert keys[:3] == ["data.path", "output", "resume"]
    assert {"lora.rank", "trainer.max_steps", "optim.lr", "trainer.batch_size", "sampler.prompts"} <= {*keys[:10]}
    first = next(i for i, line in enumerate(lines) if "--help all" in line) + 1
    assert keys_of(lines[first : first + SHORT]) == keys
    assert max(map(len, lines)) <= WIDTH
    assert "  lora           rank8, rank16" not in lines[:first]


def test_a_line_tells_the_value_and_what_it_means() -> None:
    lines = help_of("train", False)
    assert any(re.match(r"  data\.path=null +folder of sprites.*unset: the demo set$", line) for line in lines)
    assert any(re.match(r"  lora\.rank=8 ", line) for line in lines)


def test_places_in_the_order_of_need_are_taken_once() -> None:
    for command in COMMANDS.values():
        fields = [(path.rpartition(".")[0], f.metadata.get("need")) for path, f, _ in walk_schema(command.schema)]
        of_train = command.name in ("train", "doctor")
        places = [need if of_train else (section, need) for section, need in fields if need is not None]
        assert len(places) == len({*places}), command.name


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_all_after_help_is_no_setting(flag: str) -> None:
    line = split([flag, "all", "seed=1"], [], {})
    assert (line.wants_help, line.wants_all_keys, line.overrides) == (True, True, ["seed=1"])
    assert not split([flag, "seed=1"], [], {}).wants_all_keys
