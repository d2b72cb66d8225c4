"""The text of `--help`: the keys that people set; `--help all`: every key. Each with its value as composed."""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from spritelora.config.fields import ENTRY, walk_schema
from spritelora.door.compose import without_hydra

WIDTH = 110
SHORT = 30
"""The most keys that `--help` shows of a command that says which of its keys people set."""
LONGEST_LIST = 40

TYPING = (
    "Keys are typed key=value. Texts and paths are taken literally. A list stands in one pair of brackets, as",
    "[a,b]; an entry with a comma in it goes into quotes. ~ is your home folder. null unsets a key; an empty value",
    "is a mistake, unless the key says what it means.",
)


@dataclasses.dataclass(frozen=True)
class HelpLine:
    """A key as the help shows it. `need`: places in the order of need, of its sections and its own."""

    path: str
    value: str
    meaning: str
    need: tuple[int, ...]

    @property
    def head(self) -> str:
        """The key as it would be typed."""
        return f"{self.path}={self.value}"

    def brief(self, width: int) -> str:
        """The meaning, of one that is longer than `width` its first clause and the one on the key's value."""
        first, *others = self.meaning.split("; ")
        of_value = [
            c for c in others if c.startswith((f"{self.value}:", "unset:" if self.value in ("null", "[]") else "\n"))
        ]
        shorter = "; ".join([first, *of_value])
        return next((text for text in (self.meaning, shorter) if len(text) <= width), first)


def render_help(
    purpose: str, schema: type[Any], groups: Mapping[str, list[str]], config: DictConfig, shows_all: bool
) -> str:
    """Purpose, keys with their values and meanings, groups with their options. `config`: with Hydra's own part."""
    every = list(_help_lines(schema, config))
    needed = sorted((line for line in every if line.need), key=lambda line: line.need)
    is_short = not shows_all and len(every) > SHORT and bool(needed)
    lines = [purpose.strip(), "", *TYPING, ""]
    if is_short:
        lines.append(f"The keys that people set, with their values now (--help all: all {len(every)} keys):")
        width = max(len(line.head) for line in needed)
        lines += [f"  {line.head:<{width}}  {line.brief(WIDTH - width - 4)}" for line in needed]
    else:
        lines.append("Keys with their values now:")
        for line in every:
            lines += _indented(line.head, line.meaning, 44)
    if groups:
        lines += ["", "Groups, typed group=option; -m sweeps over several, as in -m lora=rank8,rank16:"]
    width = max(map(len, groups), default=0)
    for group, options in groups.items():
        lines += _indented(group, ", ".join(options), width)
    lines += ["", "--cfg job prints the whole configuration; --hydra-help lists Hydra's own flags."]
    return "\n".join(lines)


def _help_lines(schema: type[Any], config: DictConfig) -> Iterator[HelpLine]:
    """Every key of a command, in the order of its declaration."""
    options = cast(dict[str, str], OmegaConf.select(config, "hydra.runtime.choices"))
    values, needs = without_hydra(config), dict[str, tuple[int, ...]]()
    for path, field, kind in walk_schema(schema):
        section, own = needs.get(path.rpartition(".")[0], ()), field.metadata.get("need")
        if dataclasses.is_dataclass(kind):
            needs[path] = section if own is None else (*section, own)
            continue
        value = field.default if ENTRY in path.split(".") else OmegaConf.select(values, path, throw_on_missing=False)
        group = path.removesuffix("._target_")
        is_option = group in options and (group != path or isinstance(value, DictConfig))
        name, shown = (group, options[group]) if is_option else (path, _shown(value))
        yield HelpLine(name, shown, field.metadata["help"], () if own is None else (*section, own))


def _shown(value: Any) -> str:
    """A value as it would be typed; of a class its name, of a long list its beginning, of what has none `...`."""
    if isinstance(value, ListConfig):
        typed = f"[{','.join(map(str, value))}]"
        return typed if len(typed) <= LONGEST_LIST else f"{typed[:LONGEST_LIST].rpartition(',')[0]},...]"
    if isinstance(value, DictConfig):
        return "{}" if not value else "{...}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = getattr(value, "name", str(value))
    return "..." if text == "???" else text


def _indented(head: str, text: str, width: int) -> list[str]:
    indent = " " * (width + 4)
    body = textwrap.wrap(text, WIDTH - width - 4) or [""]
    if len(head) > width:
        return [f"  {head}", *(f"{indent}{line}" for line in body)]
    return [f"  {head:<{width}}  {body[0]}", *(f"{indent}{line}" for line in body[1:])]
