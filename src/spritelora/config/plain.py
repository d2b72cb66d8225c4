"""Settings as plain values, which JSON can hold, and back: each value against what its field declares."""

import dataclasses
from collections.abc import Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf

from spritelora.config.fields import limit_problem

T = TypeVar("T")
LARGEST = 2**63
Section = dict[str, Any]
"""Settings by name, as YAML and JSON hold them: single values, lists and sections."""
NAMES: Mapping[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "null",
}  # fmt: skip


def as_section(value: object) -> Section | None:
    """A plain value where it is a section."""
    return cast(Section, value) if isinstance(value, dict) else None


def section_of(config: DictConfig, resolve: bool = False) -> Section:
    """A composed configuration as plain values. `resolve`: with `${...}` put in."""
    return cast(Section, OmegaConf.to_container(config, resolve=resolve))


def plain(value: Any) -> Any:
    """A dataclass as dictionaries, lists, numbers and text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in cast(list[Any], value)]
    return value.value if isinstance(value, Enum) else value


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested settings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(cast(Mapping[str, Any], value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def from_plain(kind: type[T], value: object) -> T:
    """The dataclass that plain values are of; keys that it has not are left out.

    Raises ValueError that names everything that is missing, of another type, or out of its limits.
    """
    problems: list[str] = []
    found = _of_dataclass(kind, value, "", problems)
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _of_dataclass(kind: type[T], value: object, path: str, problems: list[str]) -> T:
    if not isinstance(value, dict):
        problems.append(_unlike(path or "it", "a section", value))
        return cast(T, None)
    given, hints, arguments = cast(dict[str, object], value), get_type_hints(kind), Section()
    for field in dataclasses.fields(cast(Any, kind)):
        name, where = field.name, f"{path}{field.name}"
        if name in given:
            arguments[name] = _of(hints[name], given[name], where, problems)
            if problem := limit_problem(where, field.metadata.get("limits", {}), arguments[name]):
                problems.append(problem)
            if hints[name] is Any and not _has_target(given[name]):
                problems.append(_unlike(where, "a section with a _target_", given[name]))
        elif field.default in (dataclasses.MISSING, MISSING) and field.default_factory is dataclasses.MISSING:
            problems.append(f"{where} is missing")
    return kind(**arguments) if not problems else cast(T, None)


def _of(kind: Any, value: object, path: str, problems: list[str]) -> Any:
    """A value as a type has it."""
    if get_origin(kind) in (Union, UnionType):
        return _of_union(kind, value, path, problems)
    if kind is Any:
        return value
    if get_origin(kind) is list and isinstance(value, list):
        entry = get_args(kind)[0]
        values = enumerate(cast(list[object], value), 1)
        return [_of(entry, v, f"entry {n} of {path}", problems) for n, v in values]
    if get_origin(kind) is dict and isinstance(value, dict):
        entry = get_args(kind)[1]
        return {k: _of(entry, v, f"{path}.{k}", problems) for k, v in cast(dict[str, object], value).items()}
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(cast(type[Any], kind), value, f"{path}.", problems)
    if isinstance(kind, type) and issubclass(kind, Enum):
        known = [member.value for member in kind]
        if value in known:
            return kind(value)
        problems.append(_unlike(path, f"one of {', '.join(map(str, known))}", value))
    elif (problem := _scalar_problem(kind, value)) is not None:
        problems.append(_unlike(path, problem, value))
    return value


def _of_union(kind: Any, value: object, path: str, problems: list[str]) -> Any:
    kinds = get_args(kind)
    for one in kinds:
        own: list[str] = []
        found = _of(one, value, path, own)
        if not own:
            return found
    names = (NAMES.get(one, "a list" if get_origin(one) is list else "a section") for one in kinds)
    problems.append(_unlike(path, " or ".join(names), value))
    return None


def _scalar_problem(kind: Any, value: object) -> str | None:
    """The kind that a value should have been; None where it is that."""
    if isinstance(value, bool):
        return None if kind is bool else NAMES.get(kind, "a section")
    if kind is float:
        return None if isinstance(value, int | float) and abs(value) < LARGEST else NAMES[float]
    if kind is int:
        return None if isinstance(value, int) and abs(value) < LARGEST else NAMES[int]
    if kind is str:
        return None if isinstance(value, str) and _is_encodable(value) else NAMES[str]
    if kind is NoneType:
        return None if value is None else NAMES[NoneType]
    return "a list" if get_origin(kind) is list else "a section"


def _is_encodable(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which JSON can hold and no file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_target(value: object) -> bool:
    return isinstance(value, dict) and isinstance(cast(dict[str, object], value).get("_target_"), str)


def _unlike(path: str, wanted: str, value: object) -> str:
    shown = repr(value)
    return f"{path.removesuffix('.')} must be {wanted}, got {shown if len(shown) <= 40 else f'{shown[:40]}...'}"
