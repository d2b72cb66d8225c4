"""The facts of a call that a task is told besides its settings."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spritelora.config.fields import is_told
from spritelora.config.overrides import Overrides
from spritelora.config.train.schema import TrainConfig

LONGEST_NAME, LONGEST_VALUE = 120, 40
FOLDERS = re.compile(r"(?:\b[A-Za-z]:|[~.]+|\\)\\(?:[^\s,:\[{\\]*\\)*|(?:\b[A-Za-z]:)?[^\s,:\[{]*/")
"""All of a path but its last name, as Windows writes it and as all systems do."""


def tell_nobody() -> None:
    """Told of a first step by a job that is no part of a sweep."""


@dataclass(frozen=True)
class Invocation:
    """One job: where it writes, what was typed, and the sweep it belongs to.

    `run_dir`: the job's own directory. `overrides`: as Hydra read them. `sweep`: name shared by all jobs of
    a multirun, None for a single run. `storage`: of the study of a search, None for the one in the sweep's folder.
    `on_first_step`: called when training begins.
    """

    run_dir: Path
    overrides: tuple[str, ...] = ()
    sweep: str | None = None
    storage: str | None = None
    on_first_step: Callable[[], None] = tell_nobody

    @property
    def name(self) -> str:
        """A readable name made of what was typed, such as `rank8 lr1e-4 max_steps=20`: options first."""
        keys = [(k, v) for k, v in self._told if not _is_option(k, v) and not re.search(r":\s*{}", v)]
        leaves = [key.rpartition(".")[2] for key, _ in keys]
        words = (
            f"{leaf if leaves.count(leaf) == 1 else key}={value[:LONGEST_VALUE]}"
            for (key, value), leaf in zip(keys, leaves, strict=True)
        )
        return " ".join([*self.options, *words])[:LONGEST_NAME] or "defaults"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of groups that were typed, such as rank8 and lr1e-4."""
        return tuple(value for key, value in self._told if _is_option(key, value))

    @property
    def words(self) -> list[str]:
        """The overrides as a person types them again."""
        return [override.plain for override in Overrides(self.overrides)]

    @property
    def _told(self) -> list[tuple[str, str]]:
        """Keys and values of what may leave this machine, without quotes and folders."""
        told = (o for o in Overrides(self.overrides) if is_told(TrainConfig, o.key))
        return [(o.key, without_folders(re.sub(r"[\"']", "", o.value or ""))) for o in told]


def _is_option(key: str, value: str) -> bool:
    """Whether this picks an option of a group: names of options start with a letter, values of plain keys do not."""
    return "." not in key and re.fullmatch(r"[A-Za-z]\w*[\w-]*", value) is not None


def without_folders(text: str) -> str:
    """Text with every path in it cut to its last name."""
    return FOLDERS.sub("", text)
