"""What a task is told about its call, besides its settings."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def tell_nobody() -> None:
    """Told of a first step by a job that is no part of a sweep."""


@dataclass(frozen=True)
class Invocation:
    """One job: where it writes, what was typed, and the sweep it belongs to.

    `run_dir`: the job's own directory. `overrides`: as Hydra read them. `sweep`: name shared by all jobs of
    a multirun, None for a single run. `on_first_step`: called when training begins.
    """

    run_dir: Path
    overrides: tuple[str, ...] = ()
    sweep: str | None = None
    on_first_step: Callable[[], None] = tell_nobody

    @property
    def name(self) -> str:
        """A readable name made of what was typed, the run's own place apart."""
        told = [o.lstrip("+~") for o in self.overrides]
        words = [_shortened(o) for o in told if o.partition("=")[0] not in ("output", "resume", "data.cache")]
        return " ".join(words)[:120] or "defaults"


def _shortened(override: str) -> str:
    """An override without quotes, and of a path only the last name, for run names leave this machine."""
    key, equals, value = override.partition("=")
    plain = re.sub(r"[\"']", "", value)
    return key + equals + re.sub(r"[^\s,:\[{]*/", "", plain)
