"""An error of Hydra or OmegaConf in the user's terms."""

import dataclasses
import os
import re
import sys
from collections.abc import Collection
from typing import Any

from hydra.conf import HydraConf
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from hydra_plugins.spritelora_search.optuna_sweeper import OptunaSweeperConf
from spritelora.config.fields import choices_of, declared_path
from spritelora.config.former_names import former_names
from spritelora.config.strict import schema_paths, suggest
from spritelora.config.train.hardware_keys import NO_MPS
from spritelora.config.values import empty_problem, keys_below, section_problem
from spritelora.door.own_options import yaml_problem

TYPE_WORDS = {"bool": "true or false", "float": "a number with a point, as 0.5", "int": "a whole number"}
"""Words for the types of a key that takes several, besides the texts that it may be."""
SEARCH_KEYS = dataclasses.fields(OptunaSweeperConf)


def explain(error: Exception, schema: type[Any], groups: Collection[str] = ()) -> str:
    """The error in the user's terms, without Hydra's advice to add '+', which would hide a typo."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(error, YAMLError):
        return yaml_problem(error)
    if isinstance(error, OverrideParseException):
        return (
            f"'{error.override.lstrip('+')}' cannot be read: put a text that has signs besides letters and digits into "
            f"quotes; in brackets and braces, each one"
        )
    file = re.match(r"In '(.*?)'", str(error))
    where = f" in conf/{file[1]}.yaml" if file else ""
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _explain_key(cause, where, schema, groups)
    if merged := re.search(r"Merge error: \w+ is not a subclass of (\w+)\. value: (.*)", str(error)):
        for path, kind in schema_paths(schema).items():
            if getattr(kind, "__name__", "") == merged[1]:
                return section_problem(path, merged[2], keys_below(path, _all_paths(schema)), path in groups, where)
    if isinstance(error, HydraException):
        return str(error).partition("\nSee ")[0].partition("\nConfig search path")[0].strip()
    return str(error)


def without_environment(text: str) -> str:
    """A message without the values of environment variables that `${oc.env:NAME}` on the command line asked for."""
    for name, value in os.environ.items():
        if value and any(re.search(rf"oc\.env:\s*{re.escape(name)}\b", word) for word in sys.argv):
            text = text.replace(value, f"${{oc.env:{name}}}")
    return text


def _explain_key(cause: OmegaConfBaseException, where: str, schema: type[Any], groups: Collection[str]) -> str:
    """The message for a wrong key or value. `where`: the file that has it, as the end of a name."""
    name, kinds, said = str(cause.full_key), schema_paths(schema), str(cause).splitlines()[0]
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        new = former_names(schema).get(name)
        told = f"it is now '{new}'" if new else suggest(name, _all_paths(schema))
        return f"unknown key '{name}'{where}: {told}"
    keys = keys_below(name, _all_paths(schema))
    if keys or str(kinds.get(declared_path(name, kinds))).startswith("dict"):
        value = cause.value if cause.value is not None or "Optional" in said else "a list"
        return section_problem(name, value, keys, name in groups, where)
    if cause.value == "":
        return empty_problem(f"{name}{where}")
    if name.endswith("device") and "'mps'" in said:
        return f"{name}=mps: {NO_MPS}"
    if of_two_types := re.match(r"Value '(.*)' of type '\w+' is incompatible with type hint '.*Union\[(.*?)\]", said):
        words = {**TYPE_WORDS, "str": " or ".join(choices_of(schema, name))}
        accepted = ", or ".join(words[kind] for kind in of_two_types[2].split(", "))
        return f"{name} must be {accepted}, got '{of_two_types[1]}'"
    if "is not Optional" in said or said.startswith("Incompatible value 'None'"):
        return f"{name}{where} cannot be null: give it a value, or leave it out for its default"
    return f"{name}: {said}"


def _all_paths(schema: type[Any]) -> list[str]:
    hydra_keys = [*_config_paths(OmegaConf.structured(HydraConf)), *(f"sweeper.{f.name}" for f in SEARCH_KEYS)]
    return [*schema_paths(schema), *(f"hydra.{p}" for p in hydra_keys)]


def _config_paths(node: DictConfig, prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key in node:
        paths.append(f"{prefix}{key}")
        if not OmegaConf.is_missing(node, key) and isinstance(child := node._get_node(key), DictConfig):
            paths += _config_paths(child, f"{prefix}{key}.") if child._content is not None else []
    return paths
