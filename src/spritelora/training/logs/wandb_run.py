"""One W&B run from start to end: nothing leaves the machine that nobody asked for, and W&B out of reach stops nothing.

W&B's own collecting is off: host, user, command line, paths, code, packages, system statistics, reports about itself.
"""

import logging
import netrc
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from spritelora.config.plain import Section
from spritelora.errors import TrainingError, first_line
from spritelora.files import is_within

if TYPE_CHECKING:
    from wandb import Run, Settings

log = logging.getLogger(__name__)

START_S, END_S = 20.0, 300.0
"""Seconds that W&B may take to answer at the start, and to take what is left at the end."""


@dataclass(frozen=True)
class PlannedRun:
    """The name of a W&B run, and what it belongs to. `folder`: gets the folder `wandb`; `settings`: with dotted keys.

    `id`: None for a new one. `sweep`: the run's folder is one of a sweep's, which are uploaded together.
    """

    folder: Path
    project: str
    entity: str | None
    name: str
    job_type: str
    settings: Mapping[str, Any]
    id: str | None = None
    group: str | None = None
    tags: Sequence[str] = ()
    sweep: bool = False


@contextmanager
def wandb_run(planned: PlannedRun) -> "Iterator[Run]":
    """A W&B run that ends with the block."""
    run = start_run(planned)
    try:
        yield run
    finally:
        end_run(run, planned)


def start_run(planned: PlannedRun) -> "Run":
    """Start a run: offline where no API key is set, and where W&B does not answer."""
    import wandb
    from wandb.errors import CommError

    mode = os.environ.get("WANDB_MODE") or ("online" if has_wandb_key() else "offline")
    before = _local_runs(planned.folder)
    try:
        return _init(planned, mode)
    except (CommError, TimeoutError) as error:
        wandb.teardown()  # a run of this id could not be started again in this process
        for folder in _local_runs(planned.folder) - before:
            shutil.rmtree(folder, ignore_errors=True)
        log.warning("W&B cannot be reached (%s): this run is logged offline", first_line(error))
        return _init(planned, "offline")
    except Exception as error:  # W&B raises errors of its own, of HTTP libraries and of pydantic
        raise TrainingError(
            f"W&B cannot start ({first_line(error)}); set WANDB_MODE=offline, or do without W&B (train: logger=csv)"
        ) from error


def send(action: Callable[[], Any]) -> bool:
    """Do something with a run. Returns whether it could be done: a W&B process that died ends nothing else."""
    try:
        action()
    except Exception as error:  # its own, and what broken sockets raise
        log.warning("W&B failed (%s); all numbers and images are in the run's own folder too", first_line(error))
        return False
    return True


def upload_file(run: "Run", file: Path, kind: str) -> None:
    """Add a file to a run as an artifact named after both."""
    import wandb

    artifact = wandb.Artifact(f"{kind}-{run.id}", type=kind)
    artifact.add_file(str(file), name=file.name)
    run.log_artifact(artifact)


def end_run(run: "Run", planned: PlannedRun) -> None:
    """End a run and say how to upload what has not been. Without it, the next run would go on in this one."""
    import wandb

    local = Path(run.dir).parent
    try:
        run.finish(exit_code=0 if sys.exc_info()[0] is None else 1)  # during an exception, the run has failed
    except Exception as error:  # a host that died, and a W&B process that died of it
        with suppress(Exception):
            wandb.teardown()
        told = "it took too long" if isinstance(error, TimeoutError) else first_line(error)
        command = f"wandb sync --include-online {shlex.quote(_shown(local))}"
        log.warning("W&B has not got all of run %s (%s); to upload it: %s", run.id, told, command)
    else:
        if run.offline:
            log.info("W&B: offline; to upload %s: %s", "all jobs" if planned.sweep else "it", sync_command(planned))


def sync_command(planned: PlannedRun) -> str:
    """The command that uploads the offline run, or all those of its sweep."""
    if planned.sweep:
        return f"wandb sync {shlex.quote(_shown(planned.folder.parent))}/*/wandb"
    return f"wandb sync {shlex.quote(_shown(planned.folder / 'wandb'))}"


def flat_keys(settings: Mapping[str, Any]) -> Section:
    """Settings as W&B can filter and group by them: `optim/lr`, for it reads a dot as a level of nesting."""
    return {key.replace(".", "/"): value for key, value in settings.items() if value != {}}


def has_wandb_key() -> bool:
    """Whether W&B would find an API key: in the environment, or in the netrc file for its host, `_netrc` on Windows."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    named = os.environ.get("NETRC")
    for file in [named] if named else ["~/.netrc", "~/_netrc"]:
        with suppress(OSError, RuntimeError, netrc.NetrcParseError):  # RuntimeError: a user without a home
            if netrc.netrc(str(Path(file).expanduser())).authenticators(host) is not None:
                return True
    return False


def _init(planned: PlannedRun, mode: str) -> "Run":
    import wandb

    # Files of tables and artifacts wait here for their upload; the default is a folder of the user's home.
    os.environ["WANDB_DATA_DIR"] = str((planned.folder / "wandb" / "data").resolve())
    return wandb.init(
        name=planned.name,
        dir=str(planned.folder),
        project=planned.project,
        entity=planned.entity,
        id=planned.id,
        resume="allow" if planned.id else None,
        group=planned.group,
        job_type=planned.job_type,
        tags=list(planned.tags),
        mode=mode,  # pyright: ignore[reportArgumentType]
        config=flat_keys(planned.settings),
        settings=_settings(mode),
    )


def _settings(mode: str) -> "Settings":
    import wandb

    return wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="",
        label_disable=True,
        program="spritelora",  # otherwise the path of the script
        init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", START_S)),
        finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", END_S)),
        finish_timeout_raises=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_viewer=mode != "online",
        x_save_requirements=False,
    )


def _local_runs(folder: Path) -> set[Path]:
    return set((folder / "wandb").glob("run-*"))


def _shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    return os.path.relpath(path) if is_within(path, Path.cwd()) else str(path)
