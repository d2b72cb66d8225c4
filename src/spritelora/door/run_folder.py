"""The folder that a command writes into: its own while it runs, removed where nothing came of it."""

import errno
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spritelora.config.command_line import CommandLine
from spritelora.config.places import expand_home
from spritelora.config.plain import section_of
from spritelora.errors import ConfigError, TrainingError
from spritelora.files import is_same
from spritelora.locks import LockedError, held
from spritelora.runs.output import LOCK, is_occupied, is_unused

T = TypeVar("T")
TRIES = 100
"""A folder is made again so often where another process has removed it at the same moment."""


class RunInUse(TrainingError):
    """Another process is writing the run."""


@dataclass(frozen=True)
class AskedFolder:
    """Where a command is to write. `is_named`: by the user, not by the time; then it may be there already."""

    path: Path
    is_named: bool


@contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """Hold a run directory, which is made, against other processes; the claim ends with the process, however it ends.

    Raises RunInUse where another process holds it, OSError where it cannot be made.
    """
    with ExitStack() as stack:
        try:
            _undisturbed(lambda: stack.enter_context(held(run_dir / LOCK)), run_dir)
        except LockedError as error:
            raise RunInUse(f"{run_dir}: another process is writing this run; wait for it, or stop it") from error
        yield


@contextmanager
def opened(asked: AskedFolder, log_name: str, check: Callable[[Path], None]) -> Iterator[Path]:
    """The folder of a command, made and held for the block; at its end removed if it was made and nothing came of it.

    It has another name than the asked one where that was made of the time and another process has it. `check`: refuses
    a folder for what lies in it, once no other process writes there. Raises RunInUse, ConfigError where there can be
    no such folder.
    """
    with ExitStack() as stack:
        is_new = not (asked.is_named and asked.path.is_dir())
        folder = make_folder(asked)
        if not is_new and not (folder / LOCK).exists():
            check(folder)  # a folder of something else gets no lock either
        try:
            stack.enter_context(claimed(folder))
        except OSError as error:
            raise ConfigError(_cannot_be_made(folder, error)) from error
        try:
            check(folder)
            yield folder
        finally:
            if is_new:
                remove_if_unused(folder, log_name)


def make_folder(asked: AskedFolder) -> Path:
    """Make a command's folder where it is not there: under another name where another process has one made of the time.

    Raises ConfigError where it cannot be made.
    """
    try:
        if not asked.is_named:
            return make_fresh(asked.path)
        if not asked.path.is_dir():
            _make_shared(asked.path)
        return asked.path
    except OSError as error:
        raise ConfigError(_cannot_be_made(asked.path, error)) from error


def make_fresh(folder: Path) -> Path:
    """Make a folder that no other process has: of this name, or with a number at its end where that is taken.

    Raises OSError.
    """
    for number in itertools.count(1):
        fresh = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        with suppress(FileExistsError):
            _make_once(fresh)
            return fresh
    raise AssertionError


def _make_shared(folder: Path) -> None:
    """Make a folder that other processes may make and remove at the same moment. Raises OSError."""
    try:
        _make_once(folder)
    except FileExistsError:
        if folder.is_file():
            raise


def _make_once(folder: Path) -> None:
    """Make a folder and those above it. Raises FileExistsError where its own name is taken."""
    is_made = _undisturbed(lambda: _mkdir(folder), folder.parent)
    if not is_made:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def _undisturbed(act: Callable[[], T], within: Path) -> T:
    """The result of an act in a folder, which is made; both once more where another process has just removed it.

    Raises OSError.
    """
    for attempt in itertools.count():
        try:
            within.mkdir(parents=True, exist_ok=True)
            return act()
        except FileNotFoundError:
            if attempt == TRIES:
                raise
        except FileExistsError as error:  # a file is in the way, or pathlib takes a folder that goes for one
            if attempt == TRIES:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(within)) from error
    raise AssertionError


def _mkdir(folder: Path) -> bool:
    """Make a folder whose parent is there; whether its name was free."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def asked_folder(config: DictConfig, key: str) -> AskedFolder:
    """The folder that a configuration gives to `key`, one of Hydra's. `config`: with Hydra's own part.

    Raises ConfigError where it is empty, or depends on what is known only when a job runs.
    """
    section, _, name = key.rpartition(".")
    raw = str(section_of(OmegaConf.select(config, section))[name])
    try:
        path = str(OmegaConf.select(config, key))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{key}={raw}: {str(error).splitlines()[0]}; name a folder with output=") from error
    output = config.get("output")
    is_of_time = "${now:" in raw and not ("${output}" in raw and output is not None)
    return AskedFolder(Path(expand_home(path)), is_named=not is_of_time)


def with_folder(line: CommandLine, key: str, folder: Path) -> CommandLine:
    """The command line that names a folder to Hydra."""
    return line.with_overrides(line.overrides.with_text(key, str(folder)))


def check_unoccupied(folder: Path, log_name: str) -> None:
    """Raise ConfigError where a folder holds anything: nothing is overwritten."""
    if is_occupied(folder, log_name):
        raise ConfigError(f"{folder} is not an empty folder, and nothing is overwritten: choose another with output=")


def check_contents(folder: Path, log_name: str, resumed: str | None, must_be_empty: bool) -> None:
    """Raise ConfigError for a folder with files in it, where it must be empty, but for a run that goes on in its own.

    `resumed`: the run's folder.
    """
    if resumed and is_same(Path(resumed), folder):
        check_links(folder)
    elif must_be_empty:
        check_unoccupied(folder, log_name)


def check_links(folder: Path) -> None:
    """Raise ConfigError where a run that goes on holds links: what it writes would lie, or be replaced, elsewhere."""
    links = [file.name for file in folder.iterdir() if file.is_symlink()] if folder.is_dir() else []
    if links:
        raise ConfigError(
            f"{folder}: {', '.join(map(repr, sorted(links)[:5]))} is a link, and a run that goes on writes into its "
            f"own folder; replace it by what it links to"
        )


def remove_if_unused(run_dir: Path, log_name: str) -> None:
    """Remove the folder of a run that ended before it wrote anything, so that bad input leaves nothing behind.

    To be called by who has claimed it. It goes in one step, for whoever claims that name next has another folder.
    """
    if not run_dir.is_dir() or not is_unused(run_dir, log_name):
        return
    logging.shutdown()
    going = run_dir.with_name(f".{run_dir.name}.{os.getpid()}.removed")
    try:
        run_dir.rename(going)
    except OSError:  # Windows renames no folder in which a file is open
        going = run_dir
    shutil.rmtree(going, ignore_errors=True)
    if run_dir.parent.parent.name in ("outputs", "multirun"):
        with suppress(OSError):  # other runs are in it
            run_dir.parent.rmdir()


def _cannot_be_made(folder: Path, error: OSError) -> str:
    return (
        f"{folder}: this folder cannot be made or written ({error.strerror or error}); make room or give access, or "
        f"name another with output="
    )
