"""The text of `--help`: what can be typed, with the values as composed."""

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from spritelora.config.fields import ENTRY, walk_schema

WIDTH = 110

TYPING = (
    "Keys are typed key=value. Texts and paths are taken literally. A list is what one pair of brackets encloses from",
    "end to end, as [a,b]; an entry with a comma in it goes into quotes. ~ is your home folder. null unsets a key;",
    "an empty value is a mistake, but where the key says what it means.",
)


def render_help(purpose: str, schema: type[Any], groups: Mapping[str, list[str]], config: DictConfig) -> str:
    """Purpose, groups with their options, and every key with its value and meaning."""
    lines = [purpose.strip()]
    if groups:
        lines += ["", "Groups, typed group=option; -m sweeps over several, as in -m lora=rank8,rank16:"]
    width = max(map(len, groups), default=0)
    for group, options in groups.items():
        lines += _indented(group, ", ".join(options), width)
    lines += ["", *TYPING, "Keys with their values now:"]
    for path, field, kind in walk_schema(schema):
        if not dataclasses.is_dataclass(kind):
            value = field.default if ENTRY in path.split(".") else _shown(config, path)
            lines += _indented(f"{path}={value}", field.metadata["help"], 44)
    lines += ["", "--cfg job prints the whole configuration; --hydra-help lists Hydra's own flags."]
    return "\n".join(lines)


def _shown(config: DictConfig, path: str) -> str:
    value = OmegaConf.select(config, path, throw_on_missing=False)
    if isinstance(value, DictConfig):
        value = value.get("_target_", "{}")
    return getattr(value, "name", None) or ("null" if value is None else str(value))


def _indented(head: str, text: str, width: int) -> list[str]:
    indent = " " * (width + 4)
    body = textwrap.wrap(text, WIDTH - width - 4) or [""]
    if len(head) > width:
        return [f"  {head}", *(f"{indent}{line}" for line in body)]
    return [f"  {head:<{width}}  {body[0]}", *(f"{indent}{line}" for line in body[1:])]
