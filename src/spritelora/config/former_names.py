"""Keys by the names that they had in earlier versions: command lines and records that use those go on."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from spritelora.config.fields import walk_schema
from spritelora.config.overrides import Override, Overrides
from spritelora.config.plain import Section, as_section
from spritelora.config.values import check_typed
from spritelora.errors import ConfigError


@cache
def former_names(schema: type[Any]) -> dict[str, str]:
    """The key that each former name now stands for, both as dotted paths."""
    return {
        name.removeprefix("/") if name.startswith("/") else f"{path.rpartition('.')[0]}.{name}".lstrip("."): path
        for path, field, _ in walk_schema(schema)
        for name in field.metadata.get("formerly", ())
    }


def with_new_names(overrides: Iterable[str], schema: type[Any]) -> Overrides:
    """Overrides with former names replaced by those of now."""
    names = former_names(schema)
    return Overrides(
        Override(f"{o.sign}{names[o.key]}{o.removeprefix(o.sign).removeprefix(o.key)}") if o.key in names else o
        for o in Overrides(overrides)
    )


def settle_typed(overrides: Overrides, schema: type[Any]) -> tuple[Overrides, list[str]]:
    """Typed overrides under the names of now, and a line for each former name among them.

    Raises ConfigError where a key is given by both its names, and where a value is empty.
    """
    typed, names = overrides.by_key, former_names(schema)
    if doubled := [key for key in typed if names.get(key) in typed]:
        raise ConfigError(
            "\n".join(f"{key}= is now {names[key]}=, and both are given: leave {key}= out" for key in doubled)
        )
    settled = with_new_names(overrides, schema)
    check_typed(settled, schema)
    return settled, [f"{key}= is now {names[key]}=; the old name still works" for key in typed if key in names]


def rename_settings(settings: Section, schema: type[Any]) -> None:
    """Give the keys in a record's nested settings their names of now."""
    for former, now in former_names(schema).items():
        *sections, name = former.split(".")
        place = _section(settings, sections)
        target = _section(settings, now.split(".")[:-1])
        if place is not None and target is not None and name in place:
            target.setdefault(now.rpartition(".")[2], place.pop(name))


def _section(settings: object, names: list[str]) -> Section | None:
    section = as_section(settings)
    return _section(section.get(names[0]), names[1:]) if section is not None and names else section
