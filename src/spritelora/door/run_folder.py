"""The folder that a job writes into: claimed while it runs, removed where nothing came of it."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spritelora.config.overrides import typed_place
from spritelora.errors import TrainingError
from spritelora.locks import LockedError, held

LOCK = ".lock"


class RunInUse(TrainingError):
    """Another process is writing the run."""


@contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """Hold a run directory against other processes; the claim ends with the process, however that ends."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(run_dir / LOCK))
        except LockedError as error:
            raise RunInUse(f"{run_dir}: another process is writing this run; wait for it, or stop it") from error
        yield


def folders_named(overrides: list[str]) -> list[Path]:
    """Folders the user named to be written into that exist: they stay, whatever happens."""
    named = [typed_place(overrides, key) for key in ("output", "hydra.run.dir")]
    return [folder.resolve() for folder in named if folder is not None and folder.is_dir()]


def remove_if_unused(run_dir: Path, log_name: str) -> None:
    """Remove the folder of a run that ended before it wrote anything, so that bad input leaves nothing behind.

    To be called by who has claimed it.
    """
    if run_dir.is_dir() and {p.name for p in run_dir.iterdir()} <= {".hydra", log_name, LOCK}:
        logging.shutdown()
        shutil.rmtree(run_dir, ignore_errors=True)
        if run_dir.parent.parent.name in ("outputs", "multirun"):
            with suppress(OSError):  # other runs are in it
                run_dir.parent.rmdir()
