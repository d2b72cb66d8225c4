"""The settings that a record may bring back: plain texts of the schema, never code, folders or values of this machine.

Runs and sweeps are passed around, so their records are strangers' files.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.core.override_parser.types import Override as ParsedOverride
from hydra.errors import HydraException

from spritelora.config.command_line import list_groups, to_grammar
from spritelora.config.fields import declared_path, open_keys, walk_schema
from spritelora.config.overrides import Override, Overrides
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError
from spritelora.program import options_root

INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
"""`${` that is computed; a backslash before it makes it plain text."""
OPTION = re.compile(r"\w[\w-]*(?:\.[\w-]+)*")
"""The name of a group's option: no path."""
SETTING = ("", "+", "++")
"""Signs of overrides that give a value; `~` takes one away."""
KEY = re.compile(r"[A-Za-z_][^\s=@:]*")
PLAIN_TEXT = re.compile(r"[\w .,:@%+=/\[\]-]*")
"""A setting of a launcher: one line without a sign that means something to a shell."""
LONGEST = 20_000
MOST_SHOWN = 120

LAUNCHERS: Mapping[str, tuple[str, ...]] = {
    "basic": (),
    "joblib": ("n_jobs", "batch_size", "verbose", "timeout"),
    "submitit_local": ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes"),
    "submitit_slurm": (
        *("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "partition"),
        *("qos", "comment", "constraint", "exclude", "gres", "cpus_per_gpu", "gpus_per_task", "mem_per_gpu"),
        *("mem_per_cpu", "account", "signal_delay_s", "max_num_timeout", "array_parallelism", "stderr_to_stdout"),
    ),
    "ray": ("ray.remote.num_cpus", "ray.remote.num_gpus"),
}
SWEEPERS: Mapping[str, tuple[str, ...]] = {
    "basic": ("max_batch_size",),
    "optuna": (
        *("study_name", "n_trials", "n_jobs", "sampler", "seed", "pruner", "startup_trials", "warmup_steps"),
        "direction",
    ),
}
"""Launchers and sweepers by name, with those of their keys that are numbers and names, and start nothing."""
PARAMS, STORAGE = "hydra.sweeper.params", "hydra.sweeper.storage"
PLAIN_KEYS = frozenset(
    f"hydra.{group}.{key}"
    for group, kinds in (("launcher", LAUNCHERS), ("sweeper", SWEEPERS))
    for keys in kinds.values()
    for key in keys
)


def refused_settings(overrides: Iterable[str]) -> list[str]:
    """Those of a run's recorded overrides that are no setting of a training as plain text, as they may be shown."""
    return [_shown(override) for override in overrides if not is_setting(override)]


def refused_of_sweep(overrides: Iterable[str], folder: Path) -> list[str]:
    """The keys of a sweep's recorded overrides that are no settings, nor plain ones of its launcher and sweeper.

    `folder`: of the sweep, in which a study's storage may lie.
    """
    known = Overrides(overrides)
    return [o.key for o in known if not (is_setting(o) or _is_plain(o) or _is_storage_in(o, folder))]


def is_setting(override: str) -> bool:
    """Whether an override gives a key or a group of the schema plain values, one or several to go over.

    `override`: as typed or as Hydra's grammar has it.
    """
    try:
        return all(map(_is_setting, to_grammar([override], TrainConfig)))
    except ConfigError:
        return False


def _is_setting(override: Override) -> bool:
    key = override.key
    if override.sign not in (*SETTING, "~") or KEY.fullmatch(key) is None:
        return False
    if len(override) > LONGEST or any(unicodedata.category(c) in ("Cc", "Cs") for c in override):
        return False
    groups, keys = _known()
    if override.sign == "~":
        return key in groups or _is_key(key, keys)
    if key in groups:
        return override.value is not None and _holds(override, _is_option)
    return _is_key(key, keys) and override.value is not None and _holds(override, _is_literal)


def is_computed(text: str) -> bool:
    """Whether a text holds an interpolation."""
    return INTERPOLATION.search(text) is not None


def is_param(key: str, value: object) -> bool:
    """Whether a sweeper may go over a setting: one of the schema, over plain values."""
    return is_setting(f"{key}={value}")


def _known() -> tuple[set[str], set[str]]:
    """The groups of a training, and its keys; of open sections and mappings the beginnings of theirs, with a dot."""
    groups = {group for group in list_groups(options_root() / "conf") if group != "hydra"}
    keys = {path for path, _, _ in walk_schema(TrainConfig)}
    open_ended = [*open_keys(TrainConfig), *(path for path, _, kind in walk_schema(TrainConfig) if kind is Any)]
    return groups, keys | {f"{path}." for path in open_ended}


def _is_key(path: str, keys: set[str]) -> bool:
    if path.split(".")[0] == "hydra":
        return False
    return declared_path(path, keys) in keys or path.startswith(tuple(key for key in keys if key.endswith(".")))


def _holds(override: str, accepts: Callable[[Any], bool]) -> bool:
    """Whether every value of an override is accepted."""
    try:
        parsed = OverridesParser.create().parse_override(override)
        return all(map(accepts, _values(parsed)))
    except (HydraException, ValueError, RecursionError):
        return False


def _values(parsed: ParsedOverride) -> Iterator[Any]:
    """The values of an override; of a sweep all that it goes over, of an interval its ends, of `glob` nothing known."""
    if not parsed.is_sweep_override():
        yield parsed.value()
    elif parsed.is_interval_sweep():
        interval = cast(Any, parsed.value())
        yield from (interval.start, interval.end)
    elif isinstance(parsed.value(), Glob):
        yield None
    else:
        key = parsed.get_key_element()
        texts = [f"{key}={text}" for text in parsed.sweep_string_iterator()]
        yield from (one.value() for one in OverridesParser.create().parse_overrides(texts))


def _is_literal(value: Any, depth: int = 0) -> bool:
    """Whether a value means itself: texts, numbers, and lists and mappings of them."""
    if depth > 8:
        return False
    if isinstance(value, dict):
        pairs = cast(dict[Any, Any], value).items()
        return all(_is_literal(k, depth + 1) and _is_literal(v, depth + 1) for k, v in pairs)
    if isinstance(value, list):
        return all(_is_literal(v, depth + 1) for v in cast(list[Any], value))
    return not (isinstance(value, str) and is_computed(value))


def _is_option(value: Any) -> bool:
    return value is None or (isinstance(value, str) and OPTION.fullmatch(value) is not None)


def _is_plain(override: Override) -> bool:
    """Whether an override names a launcher or sweeper, or gives one of its plain keys a text or what it goes over."""
    if override.value is None or override.sign not in SETTING:
        return False
    key, text = override.key, override.text
    if key in ("hydra/launcher", "hydra/sweeper"):
        return text in (LAUNCHERS if key == "hydra/launcher" else SWEEPERS)
    if key.startswith(f"{PARAMS}."):
        return is_param(key.removeprefix(f"{PARAMS}."), text)
    return key in PLAIN_KEYS and is_plain_text(text)


def is_plain_text(value: object) -> bool:
    """Whether a launcher may be given a value that comes from a file: a number, or a word or two."""
    return value is None or isinstance(value, int | float) or PLAIN_TEXT.fullmatch(str(value)) is not None


def _is_storage_in(override: Override, folder: Path) -> bool:
    """Whether an override names a study's storage in the sweep's own folder."""
    if override.key != STORAGE or override.sign not in SETTING or is_computed(override):
        return False
    return is_storage_in(override.text, folder)


def is_storage_in(storage: str, folder: Path) -> bool:
    """Whether a study's storage is a file in a folder."""
    place = re.fullmatch(r"(?:sqlite:///|journal:)([^?]+)", storage)
    return place is not None and Path(place[1]).resolve().is_relative_to(folder.resolve())


def _shown(override: str) -> str:
    shown = repr(override)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}..."
