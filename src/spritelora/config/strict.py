"""Turn a composed Hydra configuration into dataclasses, or say exactly which keys are wrong.

Hydra refuses `lora.rnk=8`, but advises `+lora.rnk=8`, which it then accepts even on a dataclass node;
a YAML file can put any key on a node without a dataclass. Both are caught here, the cheap checks first,
so that a typo is answered before torch has to be imported.
"""

import ast
import dataclasses
import difflib
import inspect
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spritelora.config.fields import declared_path, entry_kind, limit_problem, walk_schema
from spritelora.config.plain import Section, as_section, section_of
from spritelora.config.values import settle_values
from spritelora.errors import ConfigError, first_line

T = TypeVar("T")

Parameter = tuple[str, Mapping[str, Any]]
"""Type as written, and limits."""

TRUST_VARIABLE = "SPRITELORA_TRUSTED_TARGETS"

EXTRAS = {"prodigyopt": "optimizers", "schedulefree": "optimizers"}
"""The extra of this package that brings another one."""


def load(raw: DictConfig, schema: type[T]) -> T:
    """Check `raw` and convert it to `schema`; code past this point sees dataclasses only, paths without `~`.

    Raises ConfigError that names every wrong key.
    """
    plain = section_of(raw)
    known = schema_paths(schema)
    _refuse([*_unknown_keys(plain, known), *_missing_values(plain)])
    try:
        config = cast(T, OmegaConf.to_object(raw))
    except (ValueError, OmegaConfBaseException) as error:
        raise ConfigError(first_line(error)) from error
    _refuse(settle_values(config))
    components = list(_components(section_of(raw, resolve=True)))
    trusted = {path: field.metadata.get("targets", ()) for path, field, _ in walk_schema(schema)}
    _refuse([p for path, target, _ in components for p in _trust_problems(path, target, trusted)])
    _refuse([p for path, target, node in components for p in _argument_problems(path, target, node)])
    return config


def schema_paths(schema: type[Any]) -> Mapping[str, Any]:
    """Dotted path of every key and section, with its type."""
    return {path: kind for path, _, kind in walk_schema(schema)}


def suggest(path: str, known: Mapping[str, Any] | list[str]) -> str:
    """A known key that the user may have meant by the unknown key `path`, as the end of a sentence."""
    parent, _, leaf = path.rpartition(".")
    beside = {k: f"{parent}.{k.rpartition('.')[2]}" for k in known}
    paths = [typed if declared_path(typed, known) == k else k for k, typed in beside.items()]
    siblings = [p for p in paths if p.rpartition(".")[0] == parent]
    same_leaf = [p for p in paths if p.rpartition(".")[2] == leaf]
    close = difflib.get_close_matches(path, siblings, 1, 0.75) or same_leaf or difflib.get_close_matches(path, paths, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    names = ", ".join(p.rpartition(".")[2] for p in siblings or [p for p in paths if "." not in p])
    return f"the keys here are {names}"


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _unknown_keys(node: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, child in node.items():
        path = f"{prefix}{name}"
        kind = known.get(declared_path(path, known))
        if kind is None:
            yield f"unknown key '{path}': {suggest(path, known)}"
        elif (section := as_section(child)) is None:
            continue
        elif dataclasses.is_dataclass(kind):
            yield from _unknown_keys(section, known, f"{path}.")
        elif entry_kind(kind) is not None:
            for entry, keys in section.items():
                yield from _unknown_keys(keys, known, f"{path}.{entry}.")


def _missing_values(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, child in node.items():
        if child == "???":
            yield f"'{prefix}{name}' has no value: add {prefix}{name}=..."
        elif (section := as_section(child)) is not None:
            yield from _missing_values(section, f"{prefix}{name}.")


def _components(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Section]]:
    """Every node with `_target_`: its path, its target and its arguments."""
    for name, child in node.items():
        if (arguments := as_section(child)) is None:
            continue
        if isinstance(target := arguments.get("_target_"), str):
            yield f"{prefix}{name}", target, arguments
        yield from _components(arguments, f"{prefix}{name}.")


def _trust_problems(path: str, target: str, declared: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    own = [f"{name}." for name in os.environ.get(TRUST_VARIABLE, "").split(",") if name]
    trusted = (*declared.get(path, ()), *declared.get(f"{path}._target_", ()), *own)
    if not target.startswith(trusted):
        yield (
            f"{path}._target_: {target} is not among the trusted targets ({', '.join(trusted)}), for a configuration "
            f"can come from strangers; to trust a package of yours: {TRUST_VARIABLE}=package"
        )


def _argument_problems(path: str, target: str, node: Section) -> Iterator[str]:
    """Arguments that the target does not take, or takes as another type."""
    path, arguments = _open_arguments(path, node)
    is_ours = target.startswith("spritelora.")
    package = target.partition(".")[0]
    if find_spec(package) is None:
        remedy = f"pip install 'spritelora[{EXTRAS[package]}]'" if package in EXTRAS else "install it"
        yield f"{path.removesuffix('.args')}._target_: {target} needs the package {package}, not installed; {remedy}"
        return
    if not arguments and not is_ours:
        return
    try:
        accepted = read_parameters(target) if is_ours else _import_parameters(target)
    except (ImportError, AttributeError, ValueError, LookupError, OSError) as error:
        yield f"{path}._target_: cannot import {target} ({error})"
        return
    if accepted is None:
        return
    for argument, value in arguments.items():
        if argument in accepted:
            name, (annotation, limits) = f"{path}.{argument}", accepted[argument]
            if problem := _type_problem(value, annotation):
                yield f"{name}: {problem}"
            elif problem := limit_problem(name, limits, value):
                yield problem
        else:
            close = difflib.get_close_matches(argument, accepted, 1)
            hint = f"did you mean '{path}.{close[0]}'?" if close else f"it takes {', '.join(accepted) or 'none'}"
            yield f"'{path}.{argument}' is not an argument of {target}: {hint}"


def read_parameters(target: str) -> dict[str, Parameter]:
    """The arguments a configuration may give to a class or function of ours.

    Read from the source, for importing it would import torch.
    """
    module, _, name = target.rpartition(".")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"no module {module}")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
            return {ast.unparse(n.target): (ast.unparse(n.annotation), _declared_limits(n.value)) for n in fields}
        if isinstance(node, ast.FunctionDef) and node.name == name:
            arguments = [*node.args.args, *node.args.kwonlyargs]
            return {a.arg: (ast.unparse(a.annotation) if a.annotation else "", {}) for a in arguments}
    raise AttributeError(f"{module} has no {name}")


def _declared_limits(value: ast.expr | None) -> Mapping[str, Any]:
    """The limits in the source of a field declared with `key(...)`."""
    if not isinstance(value, ast.Call):
        return {}
    return {k.arg: ast.literal_eval(k.value) for k in value.keywords if k.arg is not None}


def import_target(target: str) -> Any:
    """The class or function that a `_target_` names. Raises ImportError or AttributeError where there is none."""
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def _import_parameters(target: str) -> dict[str, Parameter] | None:
    """The arguments of a class of a library besides the parameters to optimise; None where it takes any."""
    parameters = inspect.signature(import_target(target)).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return {n: (getattr(p.annotation, "__name__", ""), {}) for n, p in parameters.items() if n != "params"}


def _open_arguments(path: str, node: Section) -> tuple[str, Section]:
    """The arguments a node passes that no dataclass has checked, and their path; unset ones stay the target's own."""
    if (arguments := as_section(node.get("args"))) is not None:
        path, node = f"{path}.args", arguments
    return path, {name: value for name, value in node.items() if name != "_target_" and value is not None}


def _type_problem(value: Any, annotation: str) -> str | None:
    kinds: dict[str, tuple[type | tuple[type, ...], str]] = {
        "int": (int, "a whole number"),
        "float": ((int, float), "a number"),
        "bool": (bool, "true or false"),
        "str": (str, "text"),
    }
    kind = kinds.get(annotation.removesuffix(" | None"))
    if kind is None or (isinstance(value, kind[0]) and isinstance(value, bool) == (annotation == "bool")):
        return None
    return f"must be {kind[1]}, got '{value}'"
