"""Options of the user's own, below `--config-dir`: files that travel with runs, and so give settings and nothing else.

Whatever Hydra can do besides (callbacks, logging, environment, other targets and resolvers) is typed, or not done.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from spritelora import limits
from spritelora.config.plain import flatten, section_of
from spritelora.config.recorded import PARAMS, PLAIN_KEYS, is_param, is_plain_text
from spritelora.errors import ConfigError
from spritelora.files import read_start

_yaml: Any = yaml  # its annotations are partial
RESOLVERS = ("place", "run_dir", "temp_dir", "share", "jobs_at_once", "gpus_per_job", "now")
"""The resolvers of our own files; `${hydra:job.num}` apart."""
INTERPOLATION = re.compile(
    r"\$\{(?!\s*[A-Za-z_][\w.]*\s*\}|\s*(?:" + "|".join(RESOLVERS) + r")\s*:|\s*hydra:job\.num\s*\})"
)
"""The beginning of one that is neither another key nor computed by one of RESOLVERS."""
DEFAULT = re.compile(r"(?:override\s+|optional\s+)*/?\w+(?:/\w[\w.-]*)*(?:@\w+(?:\.\w+)*)?")
"""An entry of a defaults list: a group or an option, no path that leaves the folder."""
UNCHECKED = ("overrides.", "runtime.", "job.override_dirname", "job.config_name", "searchpath")
"""Parts of Hydra's own section that say how a job was started."""
CHOICES: Mapping[str, str] = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": "hydra/launcher=basic",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": "hydra/launcher=joblib",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": "hydra/launcher=submitit_local",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": "hydra/launcher=submitit_slurm",
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher": "hydra/launcher=ray",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper": "hydra/sweeper=basic",
    "hydra_plugins.spritelora_search.optuna_sweeper.OptunaSweeper": "hydra/sweeper=optuna",
}
"""The targets of launchers and sweepers, with how they are typed."""


class OwnOptions(FileConfigSource):
    """Hydra's reader of a folder with options, which refuses files that do more than give settings."""

    @staticmethod
    def scheme() -> str:
        return "options"

    def is_config(self, config_path: str) -> bool:
        """Whether there is such an option: in the folder of a group, for what lies beside those is no option."""
        return "/" in config_path and super().is_config(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises ConfigError that names the file."""
        file = Path(self.path, self._normalize_file_name(config_path))
        check_option(file, file.relative_to(self.path).parts)
        return super().load_config(config_path)


def check_folder(folder: Path) -> None:
    """Raise ConfigError where `--config-dir` names no folder."""
    if not folder.is_dir():
        raise ConfigError(f"--config-dir={folder}: no such folder; give the one that holds your groups' folders")


def check_option(file: Path, parts: tuple[str, ...]) -> None:
    """Raise ConfigError where an option's file is damaged, or does more than give settings. `parts`: of its path."""
    if ".." in parts or (parts[0] == "hydra" and parts[1:2] not in (("launcher",), ("sweeper",))):
        raise ConfigError(f"{file}: replaces a part of Hydra; below --config-dir only settings are read; remove it")
    try:
        content = read_start(file, limits.OPTION_BYTES.most)
        limits.OPTION_BYTES.check(len(content))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error
    settings = _read(file, content)
    if not isinstance(settings, dict | None):
        shown = textwrap.shorten(str(settings), 40, placeholder="...")
        raise ConfigError(
            f"{file}: holds {shown}, and an option is keys with values, as 'rank: 8'; correct or remove it"
        )
    problems = list(dict.fromkeys(_problems(settings)))
    if problems:
        raise ConfigError("\n".join(f"{file}: {problem}" for problem in problems))


def yaml_problem(error: yaml.YAMLError, file: Path | None = None) -> str:
    """The message for a file that is no YAML: the place, and the text there."""
    mark: yaml.Mark | None = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark else ""
    said = str(getattr(error, "problem", None) or "it is damaged").replace("'\\t'", "a tab")
    return f"{file or (mark and mark.name)}{where}: is no YAML ({said}); correct or remove the line"


def check_hydra(config: DictConfig, plain: DictConfig) -> None:
    """Raise ConfigError where options of the user's own change more of Hydra's part than a launcher and a sweeper.

    `config`, `plain`: as composed with and without them, with the same launcher and sweeper and what was typed.
    """
    ours, theirs = (dict(flatten(section_of(c.hydra))) for c in (plain, config))
    changed = [key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key) != theirs.get(key)]
    wrong = [f"hydra.{key}" for key in changed if not key.startswith(UNCHECKED) and not _is_plain(key, theirs.get(key))]
    if wrong:
        raise ConfigError(
            f"an option below --config-dir sets {', '.join(wrong)}, which only you may: type it, or remove it there"
        )


def choices_of(config: DictConfig) -> list[str]:
    """The launcher and the sweeper of a configuration, as overrides. Raises ConfigError for others than are known."""
    targets = {f"hydra.{group}._target_": str(config.hydra[group]["_target_"]) for group in ("launcher", "sweeper")}
    if wrong := [f"{key}={target}" for key, target in targets.items() if target not in CHOICES]:
        raise ConfigError(f"{', '.join(wrong)}: take one of {', '.join(CHOICES.values())}")
    return [CHOICES[target] for target in targets.values()]


def _is_plain(key: str, value: object) -> bool:
    """Whether a key of Hydra's part may be set by a file: of what a sweep goes over, or a plain one."""
    params = PARAMS.removeprefix("hydra.")
    if key == params:
        return value in (None, {})
    if key.startswith(f"{params}."):
        return is_param(key.removeprefix(f"{params}."), value)
    return f"hydra.{key}" in PLAIN_KEYS and is_plain_text(value)


def _read(file: Path, content: bytes) -> Any:
    """A file's plain content, of limited size also where it repeats parts by name. Raises ConfigError."""
    try:
        node = cast(yaml.Node | None, _yaml.compose(content.decode("utf-8-sig"), yaml.SafeLoader))
        _count(node, {}, 0)
        return None if node is None else _yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(yaml_problem(error, file)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: is no UTF-8 text ({error.reason} at byte {error.start}); save it as such"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{file}: {limits.OPTION_LEVELS.error()}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error


def _count(node: yaml.Node | None, known: dict[int, int], level: int) -> int:
    """Counts the values of a node, with those that it repeats by name. Raises ValueError for too many."""
    if node is None or id(node) in known:
        return 0 if node is None else known[id(node)]
    limits.OPTION_LEVELS.check(level)
    known[id(node)] = limits.OPTION_VALUES.most  # for a node that holds itself
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    total = 1 + sum(_count(part, known, level + 1) for part in parts)
    limits.OPTION_VALUES.check(total)
    known[id(node)] = total
    return total


def _problems(node: Any, path: str = "") -> Iterator[str]:
    """The parts of a file that are no settings."""
    if path == "" and isinstance(node, dict):
        yield from _wrong_defaults(cast(dict[Any, Any], node).get("defaults"))
    if isinstance(node, dict):
        for name, child in cast(dict[Any, Any], node).items():
            yield from _problems(child, f"{path}.{name}")
    elif isinstance(node, list):
        for child in cast(list[Any], node):
            yield from _problems(child, path)
    elif isinstance(node, str) and (match := INTERPOLATION.search(node)):
        yield (
            f"computes{path and f' {path[1:]}'} by '{node[match.start() :][:40]}', and below --config-dir a value may "
            f"only name another key or take {', '.join(RESOLVERS)}; write the value itself"
        )


def _wrong_defaults(defaults: Any) -> Iterator[str]:
    if not isinstance(defaults, list | None):
        yield f"its defaults are no list but '{defaults}'; write one such as [{{override /lora: rank16}}], or remove it"
    for entry in cast(list[Any], defaults) if isinstance(defaults, list) else []:
        pairs = cast(dict[Any, Any], entry).items() if isinstance(entry, dict) else [(entry, None)]
        for key, value in pairs:
            options = cast(list[Any], value) if isinstance(value, list) else [value]
            names = [key, *(option for option in options if option is not None)]
            if not all(isinstance(name, str) and DEFAULT.fullmatch(name) for name in names):
                yield f"its defaults list has '{key}: {value}', which names no option of a group; correct or remove it"
