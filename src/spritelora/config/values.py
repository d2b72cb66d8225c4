"""Values as a user gave them, each against what its field declares: limits, emptiness, paths."""

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from types import NoneType
from typing import Any, cast, get_args, get_type_hints

from omegaconf import MISSING

from spritelora import limits
from spritelora.config.fields import ENTRY, declared_path, entry_kind, limit_problem, walk_schema
from spritelora.config.free_text import QUOTED
from spritelora.config.overrides import Overrides
from spritelora.config.places import expand_home
from spritelora.errors import ConfigError

Field = dataclasses.Field[Any]

GAP = re.compile(r"(?:^|[\[({,])\s*,|,\s*(?:$|[\])}])")
"""An empty value among several."""


def settle_values(config: Any) -> list[str]:
    """Give the paths in dataclasses their home folders. Returns what is wrong with any value."""
    problems: list[str] = []
    for path, owner, field, kind in _walk_values(config):
        value = getattr(owner, field.name)
        if kind is Any and field.metadata.get("targets") and not isinstance(value, dict):
            problems.append(section_problem(path, value, ["_target_"], is_group=True))
        elif empty := _empty_problems(path, value, field, kind):
            problems += empty
        elif problem := limit_problem(path, field.metadata.get("limits", {}), value):
            problems.append(problem)
        elif field.metadata.get("is_place", False):
            try:
                setattr(owner, field.name, _in_home(value))
            except ConfigError as error:
                problems.append(f"{path}={error}")
    return problems


def check_typed(overrides: Sequence[str], schema: type[Any]) -> None:
    """Raise ConfigError that names every override with an empty value, for which Hydra has other words or none."""
    keys = {path: (field, kind) for path, field, kind in walk_schema(schema)}
    problems: list[str] = []
    for override in Overrides(overrides):
        path, value = override.key, override.value
        if value is None or override.sign == "~":
            continue
        problems += _too_many(path, value)
        if path == "hydra":
            problems.append("'hydra' is a section: type one of its keys, such as hydra.run.dir=FOLDER")
        elif path == "hydra.searchpath":
            problems.append("hydra.searchpath is not taken here: name options of your own with --config-dir=FOLDER")
        elif override.is_hydras and not override.text.strip():
            problems.append(empty_problem(path, "leave it out"))
        elif (declared := declared_path(path, keys)) in keys:
            field, kind = keys[declared]
            if not dataclasses.is_dataclass(kind) and not str(kind).startswith("dict"):
                empty = _empty_problems(path, override.text, field, kind)
                problems += empty if empty or field.metadata.get("text", False) else _gaps(path, value)
    if problems:
        raise ConfigError("\n".join(problems))


def _too_many(path: str, value: str) -> list[str]:
    """Messages about lists that Hydra would take minutes to part: its time grows with the square of the length."""
    try:
        limits.TYPED_ENTRIES.check(value.count(",") if value.startswith("[") else 0, key=path)
    except ValueError as error:
        return [str(error)]
    return []


def check_swept(overrides: Sequence[str]) -> None:
    """Raise ConfigError for an empty value among those that a file sweeps over."""
    problems = [p for o in Overrides(overrides) for p in _gaps(f"hydra.sweeper.params.{o.key}", o.value or "")]
    if problems:
        raise ConfigError("\n".join(problems))


def empty_problem(name: str, otherwise: str = "") -> str:
    """The message for an empty value. `otherwise`: what to do where none is meant."""
    also = f", or {otherwise}" if otherwise else ""
    return f"{name} is empty, as when a shell variable is unset: give it a value{also}"


def section_problem(path: str, value: Any, keys: Sequence[str], is_group: bool, where: str = "") -> str:
    """The message for a section that is given a value. `keys`: its own; none of one whose keys are the user's.

    `where`: the file that does so, as the end of a name.
    """
    got = "null" if value is None else value
    told = f"its keys are {', '.join(f'{path}.{k}' for k in keys)}" if keys else f"type {path}={{NAME: VALUE}}"
    of_group = f"; in a file an option of it stands under defaults: override /{path}: OPTION" if is_group else ""
    return f"'{path}'{where} is a section, not one value, got '{got}': {told}{of_group}"


def keys_below(path: str, known: Collection[str]) -> list[str]:
    """The keys in the section `path`, without it, with NAME for the name of an entry; none where it is no section."""
    above = path.split(".")
    parts = [(k.split(".")[:-1], k.rpartition(".")[2]) for k in known if k.count(".") == len(above)]
    keys = [name for own, name in parts if all(a in (b, ENTRY) for a, b in zip(own, above, strict=True))]
    if keys or above[-1] == ENTRY:
        return keys
    return [f"{ENTRY}.{name}" for name in keys_below(f"{path}.{ENTRY}", known)]


def _walk_values(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Field, Any]]:
    """Every key of a dataclass and of those in it: dotted path, the dataclass that has it, field, type."""
    hints = get_type_hints(cast(type[Any], type(config)))
    for field in dataclasses.fields(config):
        value, kind, path = getattr(config, field.name), hints[field.name], prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from _walk_values(value, f"{path}.")
        elif entry_kind(kind) is not None:
            for entry, keys in value.items():
                yield from _walk_values(keys, f"{path}.{entry}.")
        else:
            yield path, config, field, kind


def _empty_problems(path: str, value: Any, field: Field, kind: Any) -> list[str]:
    if isinstance(value, str) and field.metadata.get("may_be_empty", False):
        is_blank = value != "" and not value.strip() and not field.metadata.get("may_be_blank", False)
        return [f"{path} holds nothing but spaces: type {path}= where nothing is meant"] if is_blank else []
    return list(_empty_parts(path, value, _otherwise(path, field, kind)))


def _empty_parts(path: str, value: Any, otherwise: str) -> Iterator[str]:
    """An empty text, and those in a list and a mapping."""
    if isinstance(value, str) and not value.strip():
        yield empty_problem(path, otherwise)
    elif isinstance(value, list):
        entries = cast(list[Any], value)
        for number, entry in enumerate(entries, 1):
            yield from _empty_parts(f"entry {number} of {path}", entry, "leave it out")
    elif isinstance(value, dict):
        for name, entry in cast(dict[Any, Any], value).items():
            yield from _empty_parts(f"a name in {path}", name, "leave it out")
            yield from _empty_parts(f"{path}.{name}", entry, f"{path}.{name}=null to unset it")


def _otherwise(path: str, field: Field, kind: Any) -> str:
    if NoneType in get_args(kind):
        return f"{path}=null to unset it"
    if str(kind).startswith("list") and field.metadata["limits"]["at_least"] is None:
        return f"{path}=[] for none"
    return "" if field.default is MISSING else "leave it out for its default"


def _gaps(path: str, value: str) -> list[str]:
    """Messages about a value with an empty one among several."""
    if GAP.search(re.sub(QUOTED, "_", value)) is None:
        return []
    return [empty_problem(f"{path}: one of the values in '{value}'", "leave out its comma")]


def _in_home(value: Any) -> Any:
    if isinstance(value, list):
        return [expand_home(entry) for entry in cast(list[str], value)]
    return value if value is None else expand_home(value)
