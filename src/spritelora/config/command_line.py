"""A user's command line, made ready for Hydra: flags first, entries begun, habits answered."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spritelora.config.fields import entry_keys, open_keys, text_keys
from spritelora.config.overrides import Override, Overrides
from spritelora.config.places import expand_home
from spritelora.config.values import empty_problem
from spritelora.errors import ConfigError

HYDRA_SWITCHES = {
    "--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m",
    "--shell-completion", "-sc",
}  # fmt: skip
HYDRA_OPTIONS = {"--cfg", "-c", "--package", "-p", "--config-dir", "-cd"}
HYDRA_PLACES = {"--config-dir", "-cd"}
NOT_TAKEN = {
    **dict.fromkeys(("--config-path", "-cp", "--config-name", "-cn"), "options of your own: --config-dir=FOLDER"),
    "--experimental-rerun": "it would run what a pickle says; to go on with a run: resume=RUN",
}
"""Options of Hydra that replace the checked configuration as a whole, with what to type."""
HYDRA_ABOUT = {"--hydra-help", "--version", "--shell-completion", "-sc"}
HELP, ALL_KEYS = ("--help", "-h"), "all"
HYDRA_OPTIONAL = {"--info": "all", "-i": "all"}

HABITS = {
    "dataset": "data.path",
    "model": "model.path",
    "rank": "lora.rank",
    "alpha": "lora.alpha",
    "lr": "optim.lr",
    "learning-rate": "optim.lr",
    "steps": "trainer.max_steps",
    "batch-size": "trainer.batch_size",
}
NUMBERS_OF_GROUPS = {"lr": "optim.lr", "steps": "trainer.max_steps", "lora": "lora.rank"}


@dataclass(frozen=True)
class CommandLine:
    """A command line split into Hydra's flags and the overrides."""

    flags: list[str]
    overrides: Overrides

    def with_overrides(self, overrides: Iterable[str]) -> "CommandLine":
        """The same flags with these overrides."""
        return CommandLine(self.flags, Overrides(overrides))

    def of_job(self, overrides: Iterable[str]) -> "CommandLine":
        """The command line of one job, which is no sweep."""
        return CommandLine([f for f in self.flags if f not in ("-m", "--multirun")], Overrides(overrides))

    @property
    def wants_help(self) -> bool:
        return not {*HELP}.isdisjoint(self.flags)

    @property
    def wants_all_keys(self) -> bool:
        """Whether the help is to show every key."""
        return self.wants_help and ALL_KEYS in self.flags

    @property
    def is_multirun(self) -> bool:
        return "--multirun" in self.flags or "-m" in self.flags

    @property
    def config_dirs(self) -> list[Path]:
        """Folders with options of the user's own."""
        pairs = zip(self.flags, [*self.flags, ""][1:], strict=True)
        named = [(*flag.partition("="), value) for flag, value in pairs]
        return [Path(joined or value) for name, _, joined, value in named if name in ("--config-dir", "-cd")]

    @property
    def other_flags(self) -> list[str]:
        """The flags without those that name `config_dirs`."""
        pairs = zip(["", *self.flags], self.flags, strict=False)
        names = ("--config-dir", "-cd")
        return [flag for before, flag in pairs if before not in names and flag.partition("=")[0] not in names]

    @property
    def shows_only(self) -> bool:
        """Whether Hydra is asked to show something, and runs nothing."""
        shown = {"--cfg", "-c", "--info", "-i", "--resolve", *HYDRA_ABOUT}
        return any(flag.partition("=")[0] in shown for flag in self.flags)

    @property
    def is_about_hydra(self) -> bool:
        return bool(HYDRA_ABOUT & set(self.flags))


def split(arguments: Sequence[str], keys: Sequence[str], groups: Mapping[str, list[str]]) -> CommandLine:
    """Separate flags from overrides, for hydra-core 1.3 fails on overrides before `-m`.

    Paths of flags get their home folder. Raises ConfigError for a flag that is not Hydra's, naming the override among
    `keys` and `groups` to type instead, and for one with an empty path.
    """
    flags: list[str] = []
    overrides = Overrides()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name = argument.partition("=")[0]
        if not argument.startswith("-"):
            overrides.append(Override(argument))
        elif name in NOT_TAKEN:
            raise ConfigError(f"{name} is not taken here: {NOT_TAKEN[name]}")
        elif name in HYDRA_SWITCHES:
            flags.append(argument)
            if name in HELP and rest[:1] == [ALL_KEYS]:
                flags.append(rest.pop(0))
        elif name in HYDRA_OPTIONS:
            values = [argument.partition("=")[2]] if "=" in argument else rest[:1]
            rest = rest if "=" in argument else rest[1:]
            if name in HYDRA_PLACES:
                values = [_place_of_flag(name, value) for value in values]
            flags += [f"{name}={values[0]}"] if "=" in argument else [name, *values]
        elif name in HYDRA_OPTIONAL:
            flags.append(argument)
            if rest and "=" not in rest[0]:
                flags.append(rest.pop(0))
        else:
            raise ConfigError(_habit_answer(argument, rest, keys, groups))
    return CommandLine(flags, overrides)


def to_grammar(overrides: Iterable[str], schema: type[Any]) -> Overrides:
    """Overrides as Hydra's grammar has them: entries begun, open keys forced, free text quoted."""
    begun = begin_entries(force_open_keys(overrides, open_keys(schema)), entry_keys(schema))
    return Overrides(begun).quoted(text_keys(schema))


def _place_of_flag(flag: str, value: str) -> str:
    if not value.strip():
        raise ConfigError(empty_problem(flag, "leave it out"))
    try:
        return expand_home(value)
    except ConfigError as error:
        raise ConfigError(f"{flag}={error}") from error


def _habit_answer(flag: str, rest: list[str], keys: Sequence[str], groups: Mapping[str, list[str]]) -> str:
    name, _, value = flag.lstrip("-").partition("=")
    if not value and rest and not rest[0].startswith("-"):
        value = rest[0]
    key = name if value in groups.get(name, []) else HABITS.get(name, name.replace("-", "_"))
    if key not in keys and key not in groups:
        leaves = {k.rpartition(".")[2]: k for k in sorted(keys, key=lambda k: -k.count("."))}
        close = difflib.get_close_matches(key, list(leaves), 1)
        if not close:
            return f"unknown option '{flag}': settings are typed key=value without dashes; --help lists the keys"
        key = leaves[close[0]]
    return f"unknown option '--{name}': settings are typed key=value without dashes: {key}={value or '...'}"


def force_open_keys(overrides: Iterable[str], open_keys: Sequence[str]) -> list[str]:
    """Let Hydra add entries below keys that hold any mapping, as in `optim.args.amsgrad=true`, without a typed `+`."""
    return [
        f"++{o}" if o.startswith(tuple(f"{k}{end}" for k in open_keys for end in (".", "="))) else o for o in overrides
    ]


def begin_entries(overrides: Sequence[str], entry_keys: Sequence[str]) -> list[str]:
    """Let `data.sets.mine.path=...` begin the entry `mine`, which Hydra does only where all entries are given at once.

    Raises ConfigError where an entry is given another value than its keys.
    """
    begun: list[str] = []
    for key in entry_keys:
        names: dict[str, None] = {}
        for override in Overrides(overrides):
            if override.sign == "~" or not override.key.startswith(f"{key}."):
                continue
            name, dot, _ = override.key.removeprefix(f"{key}.").partition(".")
            if not dot:
                typed = override.removeprefix(override.sign)
                raise ConfigError(f"'{typed}': type its keys one by one, {override.key}.path=FOLDER")
            names[name] = None
        if names:
            begun.append(f"++{key}={{{', '.join(f'{name}: {{}}' for name in names)}}}")
    return [*(b for b in begun if b not in overrides), *overrides]


def list_groups(config_dir: Path) -> dict[str, list[str]]:
    """Every config group below `config_dir` with its options, in natural order."""
    groups: dict[str, list[str]] = {}
    for file in sorted(config_dir.glob("*/*.yaml"), key=lambda f: _natural(f.stem)):
        groups.setdefault(file.parent.name, []).append(file.stem)
    return dict(sorted(groups.items()))


def _natural(name: str) -> list[tuple[int, float, str]]:
    """A sort key under which rank8 precedes rank16, and lr5e-5 precedes lr1e-4."""
    parts = re.split(r"(\d+(?:e-?\d+)?)", name)
    return [(0, float(p), "") if p[:1].isdigit() else (1, 0.0, p) for p in parts if p]


def check_group_options(overrides: Sequence[str], groups: Mapping[str, list[str]]) -> None:
    """Raise ConfigError for words without `=`, and for a number or an unknown name given to a group."""
    for override in Overrides(overrides):
        name, value = override.key, override.value
        if override.sign == "~":
            continue
        if value is None:
            raise ConfigError(f"'{override}' is not a setting: settings are typed key=value")
        if name not in groups or "(" in value or "[" in value:
            continue
        for option in (part.strip().strip("'\"") for part in value.split(",")):
            if problem := _option_problem(name, option, groups[name]):
                raise ConfigError(problem)


def _option_problem(group: str, option: str, options: list[str]) -> str | None:
    if option in options:
        return None
    names = ", ".join(options)
    if option in ("null", ""):
        return f"'{group}' takes the name of an option ({names}); for the default, leave it out"
    if re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", option, re.IGNORECASE):
        key = NUMBERS_OF_GROUPS.get(group)
        remedy = f"; for any number: {key}={option}" if key else ""
        return f"'{group}' takes the name of an option ({names}), got the number {option}{remedy}"
    close = difflib.get_close_matches(option, options, 1)
    hint = f"did you mean '{group}={close[0]}'?" if close else "it has"
    return f"'{group}' has no option '{option}': {hint} (options: {names})"
