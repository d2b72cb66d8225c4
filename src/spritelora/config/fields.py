"""The declaration of a configuration key: default, meaning, limits, and the facts that other modules ask for."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, get_args, get_type_hints

from omegaconf import MISSING

from spritelora.config.durations import duration_problem
from spritelora.config.places import expand_known_home

ENTRY = "NAME"
"""Stands in a dotted path for the name of a mapping's entry, which is the user's."""


class OnResume(Enum):
    """Runs and sweeps that may go on with another value of a key than they began with."""

    nothing = 0
    run = 1
    sweep = 2
    """A sweep of runs, and so a run too."""


class Affects(Enum):
    """The first result of the frozen base that a key changes; jobs of a sweep share what none of their keys changes.

    `encodings`: latents and embeddings. `predictions`: the base's validation losses and samples. `losses`, `samples`:
    one of these alone.
    """

    encodings = "encodings"
    predictions = "predictions"
    losses = "losses"
    samples = "samples"


def key(
    default: Any = MISSING,
    help: str = "",
    *,
    text: bool = False,
    is_place: bool = False,
    if_empty: str | None = None,
    may_be_blank: bool = False,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    multiple_of: int | None = None,
    targets: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    is_duration: bool = False,
    on_resume: OnResume | None = None,
    is_told: bool | None = None,
    affects: Affects | None = None,
    formerly: tuple[str, ...] = (),
    need: int | None = None,
) -> Any:
    """Declare a dataclass field that is a configuration key.

    `text`: the value is free text (a prompt) and is taken literally from the command line. `is_place`: a text that is,
    or may be, a path on this machine: a `~` at its start is a home folder. `if_empty`: what an empty text means; of a
    key without it an empty value is a mistake. `may_be_blank`: so may one of spaces alone, which mean themselves.
    `at_least`, `above`, `at_most`, `multiple_of`: limits that `limit_problem` checks; of a list, `at_least` counts
    its entries. `targets`: beginnings of the names that a `_target_` may have. `choices`: the words that a text may be.
    `is_duration`: the text is a length of time. `on_resume`: what may go on with another value. `is_told`: it stands in
    the run's name and leaves this machine with its metrics. `affects`: a result of the frozen base. These three hold
    for all keys of a section or mapping that say nothing else; without any, nothing goes on with another value, the
    key is told, and affects nothing. `formerly`: names that the key had in its section, or, after a `/`, at the top.
    `need`: its place among the keys that `--help` shows of a command that has many.
    """
    limits = {
        "at_least": at_least, "above": above, "at_most": at_most, "multiple_of": multiple_of, "choices": choices,
        "is_duration": is_duration,
    }  # fmt: skip
    meaning = help if if_empty is None else f"{help}; empty: {if_empty}"
    metadata = {
        "help": meaning, "text": text or is_place, "is_place": is_place, "may_be_empty": if_empty is not None,
        "may_be_blank": may_be_blank, "targets": targets,
        "limits": limits, "on_resume": on_resume, "is_told": is_told, "affects": affects, "formerly": formerly,
        "need": need,
    }  # fmt: skip
    if is_place and isinstance(default, str):
        default = expand_known_home(default)
    if isinstance(default, list | dict):
        value: Any = default  # pyright: ignore[reportUnknownVariableType]
        return dataclasses.field(default_factory=lambda: value.copy(), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def section(
    kind: type[Any],
    help: str = "",
    *,
    on_resume: OnResume | None = None,
    is_told: bool | None = None,
    affects: Affects | None = None,
    need: int | None = None,
) -> Any:
    """Declare a dataclass field that holds the keys of `kind`; the facts are those of `key`."""
    metadata = {"help": help, "on_resume": on_resume, "is_told": is_told, "affects": affects, "need": need}
    return dataclasses.field(default_factory=kind, metadata=metadata)


def walk_schema(schema: type[Any], prefix: str = "") -> Iterator[tuple[str, "dataclasses.Field[Any]", Any]]:
    """Every key and section of a schema: dotted path, field, type; a section before its keys.

    The keys of a mapping's entries, where it holds dataclasses, are those of one entry called NAME.
    """
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kind = hints[field.name]
        yield prefix + field.name, field, kind
        if dataclasses.is_dataclass(kind):
            yield from walk_schema(kind, f"{prefix}{field.name}.")  # pyright: ignore[reportArgumentType]
        elif (entry := entry_kind(kind)) is not None:
            yield from walk_schema(entry, f"{prefix}{field.name}.{ENTRY}.")


def entry_kind(kind: Any) -> type[Any] | None:
    """The dataclass of a mapping's entries, None for anything else."""
    arguments = get_args(kind)
    return arguments[1] if len(arguments) == 2 and dataclasses.is_dataclass(arguments[1]) else None  # pyright: ignore


def declared_path(path: str, known: Collection[str]) -> str:
    """The path as the schema declares it, with NAME for the name of an entry; `path` itself where none is like it."""
    if path in known:
        return path
    parts = path.split(".")
    for declared in (k for k in known if ENTRY in k.split(".")):
        pairs = zip(parts, declared.split("."), strict=False)
        if len(parts) == declared.count(".") + 1 and all(a == b or b == ENTRY for a, b in pairs):
            return declared
    return path


def text_keys(schema: type[Any]) -> dict[str, bool]:
    """Dotted paths of the free-text keys; the value says whether the key holds a list."""
    return {
        path: str(kind).startswith("list")
        for path, field, kind in walk_schema(schema)
        if field.metadata.get("text", False)
    }


def is_place(schema: type[Any], path: str) -> bool:
    """Whether a key holds a path on this machine."""
    return bool(_fact(schema, path, "is_place"))


def is_told(schema: type[Any], path: str) -> bool:
    """Whether a key stands in the run's name and leaves this machine with its metrics."""
    return _fact(schema, path, "is_told") is not False


def is_free(schema: type[Any], path: str, goes_on: OnResume) -> bool:
    """Whether a key may have another value where a run, or a sweep, goes on."""
    return (_fact(schema, path, "on_resume") or OnResume.nothing).value >= goes_on.value


def free_keys(schema: type[Any], goes_on: OnResume) -> list[str]:
    """Dotted paths of the keys for which `is_free`; of a section or mapping where all are, its own."""
    free = [path for path in _declared(schema) if is_free(schema, path, goes_on)]
    return [path for path in free if path.rpartition(".")[0] not in free]


def choices_of(schema: type[Any], path: str) -> tuple[str, ...]:
    """The words that a key may be; none of a key that may be others, or is not declared."""
    limits: Mapping[str, Any] | None = _fact(schema, path, "limits")
    return limits["choices"] if limits else ()


def affected(schema: type[Any], path: str) -> Affects | None:
    """The result of the frozen base that a key changes."""
    return _fact(schema, path, "affects")


@cache
def _declared(schema: type[Any]) -> dict[str, "dataclasses.Field[Any]"]:
    return {path: field for path, field, _ in walk_schema(schema)}


def _fact(schema: type[Any], path: str, name: str) -> Any:
    """A fact of a key's field, or of the section or mapping that holds it; None where none has it."""
    fields = _declared(schema)
    while path:
        field = fields.get(declared_path(path, fields))
        if field is not None and field.metadata.get(name) is not None:
            return field.metadata[name]
        path = path.rpartition(".")[0]
    return None


def entry_keys(schema: type[Any]) -> list[str]:
    """Dotted paths of the keys that hold a mapping of dataclasses."""
    return [path for path, _, kind in walk_schema(schema) if entry_kind(kind) is not None]


def open_keys(schema: type[Any]) -> list[str]:
    """Dotted paths of the keys that hold any mapping."""
    return [path for path, _, kind in walk_schema(schema) if str(kind).startswith("dict")]


def limit_problem(path: str, limits: Mapping[str, Any], value: Any) -> str | None:
    """A message about a number outside its limits, a word not among its choices, a list too short, or None."""
    choices = limits.get("choices")
    if choices and isinstance(value, str):
        wanted = f"{choices[0]} or a number" if limits.get("at_least") is not None else f"one of {', '.join(choices)}"
        return None if value in choices else f"{path} must be {wanted}, got '{value}'"
    if limits.get("is_duration") and value is not None:
        return duration_problem(path, value)
    if isinstance(value, list):
        shortest = limits.get("at_least")
        is_short = shortest is not None and len(value) < shortest  # pyright: ignore[reportUnknownArgumentType]
        return f"{path} must have at least {shortest} entry" if is_short else None
    if not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) >= 2**63:
        return f"{path} must be at most {2**63 - 1}, got {value}"
    kept: dict[str, Callable[[float], bool]] = {
        "at_least": lambda limit: value >= limit,
        "above": lambda limit: value > limit,
        "at_most": lambda limit: value <= limit,
        "multiple_of": lambda limit: value % limit == 0,
    }
    for name, holds in kept.items():
        limit = limits.get(name)
        if limit is not None and not holds(limit):
            words = name.replace("_", " ").replace("multiple", "a multiple")
            return f"{path} must be {words} {limit}, got {value}"
    return None
